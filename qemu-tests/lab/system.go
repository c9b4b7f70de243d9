package lab

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

//go:embed systems/common.sh
var commonScript string

//go:embed systems/md.sh
var mdScript string

//go:embed systems/mdboot.sh
var mdbootScript string

//go:embed systems/lvm.sh
var lvmScript string

//go:embed systems/luks.sh
var luksScript string

//go:embed systems/fs.sh
var fsScript string

//go:embed systems/seed.sh
var seedScript string

// System is a Debian 12 that is installed over layers: a guest with the real drivers and tools lays it out, once.
type System struct {
	Name   string // host name
	Layout string // md, lvm, luks, fs or seed: its script
	Disks  int
	Size   int64             // bytes of each
	Vars   map[string]string // what the layout's script asks for
	Grub   int               // so many of the disks get a boot loader; 0 is one
}

// Passphrase opens the LUKS devices of the lab.
const Passphrase = "correct horse"

// MD090 has every filesystem on RAID1 of two disks, with the metadata of 2005, and /boot on an array of its own. Both disks
// start the system.
func MD090() System {
	return System{Name: "md090", Layout: "md", Disks: 2, Size: 2 << 30, Grub: 2, Vars: map[string]string{"METADATA": "0.90", "BOOT": "separate"}}
}

// MD12 is the same with today's metadata, and /boot inside /.
func MD12() System {
	return System{Name: "md12", Layout: "md", Disks: 2, Size: 2 << 30, Grub: 2, Vars: map[string]string{"METADATA": "1.2", "BOOT": "inside"}}
}

// MDPlainBoot is MD12 with /boot on a plain partition of the first disk, where GRUB can write.
func MDPlainBoot() System {
	return System{Name: "mdboot", Layout: "mdboot", Disks: 2, Size: 2 << 30, Vars: map[string]string{"METADATA": "1.2", "BOOT": "plain"}}
}

// LVM has root, swap and var as logical volumes on one disk, and /boot on a partition.
func LVM() System {
	return System{Name: "lvm", Layout: "lvm", Disks: 1, Size: 2 << 30, Vars: map[string]string{"BOOT": "separate"}}
}

// LVM2 is a volume group over two disks, with /boot inside the root volume, /var striped and /data mirrored.
func LVM2() System {
	return System{Name: "lvm2", Layout: "lvm", Disks: 2, Size: 2 << 30, Vars: map[string]string{"BOOT": "inside"}}
}

// LUKS is LVM inside LUKS2, opened by Passphrase at the console, with /boot on a partition.
func LUKS() System {
	return System{Name: "luks", Layout: "luks", Disks: 1, Size: 2 << 30, Vars: map[string]string{"PASSPHRASE": Passphrase}}
}

// XFS has its root, /boot included, on xfs.
func XFS() System {
	return System{Name: "xfs", Layout: "fs", Disks: 1, Size: 2 << 30, Vars: map[string]string{"FS": "xfs"}}
}

// Btrfs has the subvolumes @ and @home, with /boot inside @.
func Btrfs() System {
	return System{Name: "btrfs", Layout: "fs", Disks: 1, Size: 2 << 30, Vars: map[string]string{"FS": "btrfs"}}
}

// Seed1 is a server as they were installed for years: MBR with logical partitions for /, swap, /var, /usr and /data, and bind
// mounts.
func Seed1() System {
	return System{Name: "seed1", Layout: "seed", Disks: 1, Size: 2560 << 20}
}

// Masters returns the paths of the system's disks in the cache, in order. They are read-only: Copy them.
func (s System) Masters(ctx context.Context, l *Lab) ([]string, error) {
	builder := LayeredDebian()
	master, err := l.Disk(ctx, builder)
	if err != nil {
		return nil, err
	}
	script := s.script()
	dir, err := l.cached(ctx, "system-"+s.Name+"-"+key(fmt.Sprintf("%#v", s), script, filepath.Base(master)), func(path string) error {
		return l.timed(fmt.Sprintf("system %s: %d disks, built in a guest", s.Name, s.Disks), func() error {
			return s.build(ctx, l, master, script, path)
		})
	})
	var out []string
	for i := range s.Disks {
		out = append(out, filepath.Join(dir, fmt.Sprintf("disk%d.raw", i+1)))
	}
	return out, err
}

// script is the whole text that the builder runs.
func (s System) script() string {
	var out strings.Builder
	layouts := map[string]string{"md": mdScript, "mdboot": mdScript + mdbootScript, "lvm": lvmScript, "luks": luksScript, "fs": fsScript, "seed": seedScript}
	out.WriteString(commonScript + layouts[s.Layout])
	fmt.Fprintf(&out, "NAME=%s\n", s.Name)
	var grub, debconf []string
	for i := range s.Disks {
		// The builder's own disk is vda.
		fmt.Fprintf(&out, "D%d=/dev/vd%c\n", i+1, 'b'+i)
		if i < max(1, s.Grub) {
			grub = append(grub, fmt.Sprintf("/dev/vd%c", 'b'+i))
			debconf = append(debconf, fmt.Sprintf("/dev/vd%c", 'a'+i))
		}
	}
	fmt.Fprintf(&out, "GRUB='%s'\nDEBCONF='%s'\n", strings.Join(grub, " "), strings.Join(debconf, ", "))
	for _, k := range []string{"METADATA", "BOOT", "FS", "PASSPHRASE"} {
		if v, ok := s.Vars[k]; ok {
			fmt.Fprintf(&out, "%s=%s\n", k, Quote(v))
		}
	}
	if s.Vars["FS"] == "xfs" {
		out.WriteString("rm /srv/fixture/kinds/block # xfs has 18 bits for a minor number\n")
	}
	return out.String() + "build\n"
}

func (s System) build(ctx context.Context, l *Lab, master, script, path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	builder := filepath.Join(path, "builder.raw")
	if err := Copy(builder, master); err != nil {
		return err
	}
	disks := []Disk{{File: builder, Serial: "builder"}}
	for i := range s.Disks {
		d := Disk{File: filepath.Join(path, fmt.Sprintf("disk%d.raw", i+1)), Serial: fmt.Sprintf("old%d", i+1)}
		if err := Blank(d.File, s.Size); err != nil {
			return err
		}
		disks = append(disks, d)
	}
	ctx, cancel := context.WithTimeout(ctx, 25*time.Minute)
	defer cancel()
	vm, err := l.Start(ctx, Config{Name: "builder of " + s.Name, Dir: path, Disks: disks})
	if err != nil {
		return err
	}
	defer vm.Close()
	if state, err := vm.Ready(ctx); err != nil || state != "running" {
		return fmt.Errorf("lab: builder of %s: systemd is %q: %w", s.Name, state, err)
	}
	out, err := vm.MustRun(ctx, script)
	if err == nil {
		err = vm.PowerOff(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, tail([]byte(out), 3000))
	}
	for _, name := range []string{"builder.raw", "console.log", "qemu.log"} {
		if err := os.Remove(filepath.Join(path, name)); err != nil {
			return err
		}
	}
	for _, d := range disks[1:] {
		if err := os.Chmod(d.File, 0o444); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(path, "build.log"), []byte(out), 0o644)
}
