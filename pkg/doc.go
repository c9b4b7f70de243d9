// Package pkg is the map of the house; it holds no code.
//
// Five verbs: a line that talks to a human tells, one that chooses decides, one that reads the world looks, one that
// changes it does, one that knows a format spells.
//
//	tell    cmd/migrate-init  commands, help, exit codes, entry of PID 1, wiring, progress
//	decide  pkg/plan          Intent + Facts -> Plan; Check holds a Plan against Facts; codec; prose
//	look    pkg/survey        the world -> plan.Facts, through an fs.FS and io.ReaderAts
//	do      pkg/stage         the ordered, idempotent stages; the journal; the one commit point
//	do      pkg/machine       exec, mount, ioctl, modules, atomic writes, reboot, switch_root; real, or printed
//	do      pkg/copy          jobs of both engines: precheck, copy, checkpoints, verify, finalize
//	do      pkg/tree          copies a tree with everything it has, and proves it
//	do      pkg/extent        copies a filesystem's used blocks, and proves it
//	do      pkg/crew          goroutines whose panics reach the one who waits
//	do      pkg/pace          rate and time left of long work
//	do      pkg/loader        boot loaders: arms, commits, rewrites, installs and proves, one file a loader
//	do      pkg/distro        rebuilds initrds with the system's own tools, one file a family or generator
//	build   pkg/image         plan + host files -> a reproducible initramfs
//	spell   pkg/md            md superblocks, assembly, ioctl and sysfs values, mdadm.conf
//	spell   pkg/lvm           labels and metadata of LVM, system.devices
//	spell   pkg/luks          headers of LUKS
//	spell   pkg/gpt           partition tables, GPT and DOS
//	spell   pkg/probe         what lies on a device
//	spell   pkg/fstab         fstab, crypttab, mtab
//	spell   pkg/conf          shell settings, debconf answers
//	spell   pkg/kmod          modules.dep and its relatives
//	spell   pkg/elf           the files a tool needs
//	spell   pkg/mkfs          argv of mkfs and mkswap
//	spell   pkg/rootfs        where a path leads inside a root
//	spell   boot              boot loader dialects, the kernel command line
//	spell   cpio              newc archives and their compression
//	prove   pkg/sim           a made-up machine with a Debian, whose power can be cut at any effect
//	prove   pkg/testns        a mount namespace for the tests of a package
//	prove   qemu-tests        real kernels, a real Debian, power cuts
//
// A migration flows one way: flags -> plan.Intent -> survey.Look -> plan.Facts -> plan.New -> plan.toml -> image ->
// one-shot boot entry -> PID 1 -> plan.Read -> survey.Look again -> plan.Check, where drift stops -> stages -> switch_root.
//
// Who may import whom, and why, is the table in rooms_test.go; that test is the law.
package pkg
