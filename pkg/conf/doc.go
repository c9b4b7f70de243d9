// Package conf reads and edits settings files of the system: files of shell variables (/etc/default/grub,
// /etc/default/mdadm, /etc/initramfs-tools/initramfs.conf, conf.d/resume) and debconf's database.
//
// Contract. A change replaces the bytes of one value, or adds one line, and leaves every other byte unchanged. Shell
// files are parsed as shell and never run: a value that is known only by running the file (an expansion, a condition, a
// file read in with ".") is an error that shows the line, never a guess. The package handles only bytes; it opens no
// file.
package conf
