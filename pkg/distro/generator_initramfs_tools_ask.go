package distro

import (
	"errors"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/conf"
	"migrate-init/pkg/plan"
)

const (
	initramfsConf   = "/etc/initramfs-tools/initramfs.conf"
	initramfsUpdate = "/etc/initramfs-tools/update-initramfs.conf"
	initramfsShare  = "/usr/share/initramfs-tools"
)

// initramfsToolsQuestions are about update-initramfs and mkinitramfs 0.142, as their texts say what they read. The first
// kernel for which mkinitramfs fails ends the run, so what one of them needs is asked for all that have an initrd.
func initramfsToolsQuestions() []plan.Question {
	const live = plan.Planning | plan.Live
	return []plan.Question{
		{ID: "initramfs.programs", When: live, OK: "initramfs-tools' programs and hooks are installed", Ask: initramfsPrograms},
		{ID: "initramfs.settings", When: live, OK: "initramfs-tools' settings suit the new system", Ask: initramfsSettings},
		{ID: "initramfs.kernels", When: live, OK: "each kernel with an initramfs has its configuration file in /boot", Ask: initramfsKernels},
		{ID: "initramfs.arrays", When: live, OK: "mdadm's initramfs hook and script are as packaged", Ask: initramfsArrays},
		{ID: "initramfs.scratch", When: live, OK: "update-initramfs has room to work in", Ask: initramfsScratch},
	}
}

func initramfsPrograms(in plan.Installed) plan.Findings {
	return slices.Concat(in.NoProgram("initramfs-tools", "update-initramfs"), in.NoProgram("initramfs-tools-core", "mkinitramfs"),
		in.NoProgram("linux-base", "linux-version"), in.NoProgram("cpio", "cpio"), in.NoProgram("kmod", "depmod", "modprobe"), in.NoProgram("libc-bin", "ldd"), in.NoProgram("dash", "sh"))
}

// initramfsFiles are what mkinitramfs sources, in its order; a file of /etc hides one of its name in /usr/share.
func initramfsFiles(in plan.Installed) []string {
	out := []string{initramfsConf}
	for _, dir := range []string{initramfsShare + "/conf.d", "/etc/initramfs-tools/conf.d"} {
		names, err := in.Glob(strings.TrimPrefix(dir, "/") + "/*")
		if err != nil {
			continue
		}
		for _, n := range names {
			if base := path.Base(n); strings.Contains(base, ".dpkg-") || strings.Trim(base, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
				continue
			}
			if _, err := in.Stat("/etc/initramfs-tools/conf.d/" + path.Base(n)); err == nil && dir != "/etc/initramfs-tools/conf.d" {
				continue
			}
			if st, err := in.Stat(n); err == nil && st.Mode().IsRegular() {
				out = append(out, "/"+n)
			}
		}
	}
	return out
}

// initramfsValue is the last value of a variable in them, and the file that sets it.
func initramfsValue(in plan.Installed, key string) (value, file string) {
	for _, f := range initramfsFiles(in) {
		if b, err := in.Read(f); err == nil {
			if v, found, err := conf.Get(b, key); err == nil && found {
				value, file = v, f
			}
		}
	}
	return value, file
}

func initramfsSettings(in plan.Installed) (out plan.Findings) {
	refuse := func(id, subject, fix, format string, args ...any) {
		x := plan.Refusal(subject, fix, format, args...)
		x.ID = "initramfs." + id
		out = append(out, x)
	}
	for _, f := range append(initramfsFiles(in), initramfsUpdate) {
		b, err := in.Read(f)
		if err != nil && f == initramfsConf {
			refuse("settings", "file "+f, in.Reinstall("initramfs-tools-core"), "cannot be read, and mkinitramfs ends without it: %v", err)
		}
		if err != nil {
			continue
		}
		if in.Run != nil {
			_, err = in.Run(b, "sh", "-n")
		} else if _, _, err = conf.Get(b, "MODULES"); errors.Is(err, conf.ErrDynamic) {
			err = nil
		}
		if err != nil {
			refuse("settings", "file "+f, "correct it, until `sh -n "+f+"` succeeds", "the shell cannot read it, and no initrd can be made: %v", err)
		}
	}
	if b, err := in.Read(initramfsUpdate); err == nil {
		if v, _, err := conf.Get(b, "update_initramfs"); err == nil && v == "no" {
			refuse("switched-off", "file "+initramfsUpdate, "sed -i s/^update_initramfs=no/update_initramfs=yes/ "+initramfsUpdate, "it says update_initramfs=no: the new system's initrds would stay those of the old one, without its arrays")
		}
	}
	switch v, f := initramfsValue(in, "COMPRESS"); v {
	case "":
		if f == "" {
			f = initramfsConf
		}
		refuse("compression", "file "+f, "echo COMPRESS=gzip >>"+initramfsConf, "COMPRESS is not set, and mkinitramfs ends without it")
	case "bzip2", "lzma", "lzop":
		refuse("compression", "file "+f, "set COMPRESS=zstd there, and run update-initramfs -u -k all", "it says COMPRESS=%s, which this program cannot read, so the new initrds could not be proved", v)
	}
	if v, f := initramfsValue(in, "BUSYBOX"); v == "y" {
		_, hook := in.Stat(initramfsShare + "/conf-hooks.d/busybox")
		_, bin := in.Stat("/bin/busybox")
		_, own := in.Stat("/usr/lib/initramfs-tools/bin/busybox")
		if hook != nil || bin != nil && own != nil {
			refuse("busybox", "file "+f, "set BUSYBOX=auto there, or "+in.Reinstall("busybox"), "it says BUSYBOX=y, and busybox is not installed: mkinitramfs ends")
		}
	}
	return out
}

// initramfsKernels asks for the configuration of every kernel that has an initrd, by the name of its image: mkinitramfs
// looks into it for the ways of compression that the kernel knows.
func initramfsKernels(in plan.Installed) (out plan.Findings) {
	names, err := in.Glob("boot/vmlinu[xz]-*")
	if err != nil {
		return plan.Findings{plan.Refusal("directory /boot", "", "%v", err)}
	}
	method, _ := initramfsValue(in, "COMPRESS")
	if method == "lz4" {
		method = "LZ4"
	}
	for _, k := range names {
		_, version, _ := strings.Cut(path.Base(k), "-")
		if _, err := in.Stat("boot/initrd.img-" + version); err != nil || strings.HasSuffix(version, ".sig") {
			continue
		}
		file := "/boot/config-" + version
		b, err := in.Read(file)
		fix := in.Reinstall("linux-image-" + version)
		if "/"+k != in.Plan.Boot.Kernel {
			fix = "mv /boot/initrd.img-" + version + " /root/"
		}
		if err != nil {
			out = append(out, plan.Refusal("kernel /"+k, fix, "%s cannot be read, and mkinitramfs ends without it, for all kernels: %v", file, err))
			continue
		}
		knows := func(m string) bool { return strings.Contains("\n"+string(b), "\nCONFIG_RD_"+strings.ToUpper(m)+"=y") }
		if !knows("gzip") && !knows(method) {
			out = append(out, plan.Refusal("kernel /"+k, fix, "by %s it reads initrds neither as %s nor as gzip, and mkinitramfs ends, for all kernels", file, method))
		}
	}
	return out
}

// initramfsArrays asks for the files of mdadm's package that make an initrd start arrays: a package of another origin, or
// one that was cut down, may not have them, or have others.
func initramfsArrays(in plan.Installed) (out plan.Findings) {
	if len(in.Plan.Target.Arrays()) == 0 {
		return nil
	}
	const fix = "mdadm"
	out = in.NoProgram(fix, "mdadm", "mdmon") // its hook copies both
	hook := initramfsShare + "/hooks/mdadm"
	if st, err := in.Stat(hook); err != nil || st.Mode().Perm()&0o111 == 0 {
		out = append(out, plan.Refusal("file "+hook, in.Reinstall(fix), "it is missing or not executable: no initrd could start an array"))
	}
	for _, x := range []struct{ file, word string }{{initramfsShare + "/scripts/local-block/mdadm", "--run"}, {"/lib/udev/rules.d/64-md-raid-assembly.rules", ""}} {
		b, err := in.Read(x.file)
		switch {
		case err != nil:
			out = append(out, plan.Refusal("file "+x.file, in.Reinstall(fix), "it is missing, and every initrd that starts an array needs it"))
		case !strings.Contains(string(b), x.word):
			out = append(out, plan.Refusal("file "+x.file, in.Reinstall(fix), "it is not that of Debian's mdadm: it never says %s, so a degraded array would not be started at boot", x.word))
		}
	}
	return out
}

// initramfsScratch asks for the directory in which mkinitramfs works, and the room there and in /boot. In the chroot /run is
// empty, and /tmp is another one.
func initramfsScratch(in plan.Installed) (out plan.Findings) {
	const dir = "/var/tmp"
	at, err := in.Place(dir)
	st, serr := in.Stat(dir)
	switch {
	case err != nil || serr != nil || !st.IsDir():
		out = append(out, plan.Refusal("directory "+dir, "rm -f "+dir+"; mkdir -m 1777 "+dir, "it is not a directory, and mkinitramfs works there"))
	case at == "/run" || strings.HasPrefix(at, "/run/") || strings.HasPrefix(at, "/dev/"):
		out = append(out, plan.Refusal("directory "+dir, "rm "+dir+"; mkdir -m 1777 "+dir, "it is a link to %s, which is empty while the new system is made, and mkinitramfs works there", at))
	}
	hooks, err := in.Glob("etc/initramfs/post-update.d/*")
	if err == nil {
		for _, h := range hooks {
			if st, err := in.Stat(h); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
				out = append(out, plan.Warning("file /"+h, "chmod -x /"+h+" until finish", "update-initramfs runs it after each initrd, offline too; if it fails there, so does the migration, before its commit"))
			}
		}
	}
	return out
}
