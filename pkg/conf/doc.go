// Package conf spells settings files of the system: files of shell variables (/etc/default/grub, /etc/default/mdadm,
// /etc/initramfs-tools/initramfs.conf, conf.d/resume) and debconf's database.
//
// Contract. A change replaces the bytes of one value, or adds one line, and leaves every other byte. Shell files are
// parsed as shell and never run: a value that only running could tell (an expansion, a condition, a file read in
// with ".") is an error that shows the line, never a guess. The package only handles bytes; it opens no file.
package conf
