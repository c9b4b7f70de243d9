package stage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"migrate-init/boot"
	"migrate-init/pkg/gpt"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

const (
	mib         = int64(1) << 20
	testRelease = "6.1.0-40-amd64"
	oldRoot     = "11111111-1111-4111-8111-111111111111"
	oldSrv      = "22222222-2222-4222-8222-222222222222"
	oldSwap     = "33333333-3333-4333-8333-333333333333"
	oldTable    = "aaaaaaaa-0000-4000-8000-000000000000"
)

// seeded is a source of the same "random" bytes at every run.
type seeded struct{ n uint64 }

func (s *seeded) Read(p []byte) (int, error) {
	for i := range p {
		h := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, s.n))
		p[i] = h[0]
		s.n++
	}
	return len(p), nil
}

func vmlinuz(release string) []byte {
	b := make([]byte, 0x400)
	b[0x1fe], b[0x1ff] = 0x55, 0xaa
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x20e:], 0x100)
	copy(b[0x300:], release+" (debian) #1 SMP\x00")
	return b
}

// grubCfg is the skeleton of Debian's: what reads grubenv and custom.cfg, and an entry.
func grubCfg(root, cmdline string) string {
	return `if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="0"
fi
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple' {
	linux	/boot/vmlinuz-` + testRelease + ` root=` + root + ` ro ` + cmdline + ` quiet
	initrd	/boot/initrd.img-` + testRelease + `
}
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
elif [ -z "${config_directory}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
`
}

func text(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for n, s := range files {
		out[n] = &fstest.MapFile{Data: []byte(s), Mode: 0o644}
		for d := path.Dir(n); d != "."; d = path.Dir(d) {
			if out[d] == nil {
				out[d] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
			}
		}
	}
	return out
}

// staticELF is the smallest program that names no interpreter.
func staticELF() string {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], 2)  // ET_EXEC
	binary.LittleEndian.PutUint16(b[18:], 62) // EM_X86_64
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint16(b[52:], 64)
	return string(b)
}

func debianRoot() fstest.MapFS {
	env := boot.NewGrubenv()
	root := text(map[string]string{
		"etc/fstab": "# /etc/fstab: static file system information.\n# / was on /dev/vda2 during installation\n" +
			"UUID=" + oldRoot + " /               ext4    errors=remount-ro 0       1\n" +
			"UUID=" + oldSrv + " /srv\text4 defaults,noatime 0 2 # data\n" +
			"UUID=" + oldSwap + " none            swap    sw              0       0\n",
		"etc/machine-id":                              "0123456789abcdef0123456789abcdef\n",
		"etc/os-release":                              "ID=debian\nVERSION_ID=\"12\"\n",
		"etc/default/grub":                            "GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX=\"console=ttyS0 resume=UUID=" + oldSwap + "\"\n",
		"etc/initramfs-tools/conf.d/resume":           "RESUME=UUID=" + oldSwap + "\n",
		"etc/systemd/system/x.service":                "",
		"usr/lib/systemd/systemd":                     staticELF(),
		"usr/sbin/update-initramfs":                   "#!/bin/sh",
		"usr/sbin/mdadm":                              "ELF",
		"lib/modules/" + testRelease + "/modules.dep": "",
		"boot/vmlinuz-" + testRelease:                 string(vmlinuz(testRelease)),
		"boot/initrd.img-" + testRelease:              "old initrd",
		"boot/grub/grub.cfg":                          grubCfg("UUID="+oldRoot, "console=ttyS0"),
		"boot/grub/grubenv":                           string(env.Bytes()),
		"var/lib/dpkg/status":                         "Package: mdadm\nStatus: install ok installed\n\nPackage: e2fsprogs\nStatus: install ok installed\n\nPackage: grub-pc\nStatus: install ok installed\n\nPackage: initramfs-tools\nStatus: install ok installed\n",
		"var/cache/debconf/config.dat":                "Name: grub-pc/install_devices\nTemplate: grub-pc/install_devices\nValue: /dev/disk/by-id/virtio-SER-vda\nOwners: grub-pc\n\n",
		"home/u/file":                                 "kept",
	})
	for _, m := range []string{"normal", "linux", "part_gpt", "part_msdos", "diskfilter", "mdraid1x", "ext2"} {
		root["boot/grub/i386-pc/"+m+".mod"] = &fstest.MapFile{Data: []byte("mod"), Mode: 0o644}
	}
	// As on Debian: an absolute link, which leads nowhere from the initramfs.
	root["usr/lib/systemd/systemd"].Mode = 0o755
	root["sbin/init"] = &fstest.MapFile{Data: []byte("/usr/lib/systemd/systemd"), Mode: fs.ModeSymlink | 0o777}
	for _, d := range []string{"boot/grub/i386-pc", "sbin", "dev", "proc", "sys", "run", "tmp", "mnt", "srv", "etc/systemd/system", "etc/default/grub.d"} {
		root[d] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
	}
	return root
}

// newWorld is a Debian on vda, and an empty vdb, with the old system running.
func newWorld(t testing.TB) *world {
	w := &world{t: t, trees: map[string]fstest.MapFS{oldRoot: debianRoot(), oldSrv: text(map[string]string{"data/big": "srv data"})}}
	a, b := newDisk("vda", 1024*mib), newDisk("vdb", 1024*mib)
	a.source = true
	w.disks = []*disk{a, b}
	tab := gpt.Table{Scheme: gpt.SchemeGPT, ID: oldTable, SectorSize: 512}
	at := mib
	for i, p := range []struct {
		kind string
		size int64
	}{{"bios_grub", mib}, {"linux", 500 * mib}, {"linux", 200 * mib}, {"swap", 100 * mib}} {
		typ, err := gpt.TypeOf(gpt.SchemeGPT, p.kind)
		if err != nil {
			t.Fatal(err)
		}
		tab.Partitions = append(tab.Partitions, gpt.Partition{Number: i + 1, Type: typ, ID: fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", i+1), Name: "p", Start: at, Size: p.size})
		at += p.size
	}
	writes, err := gpt.Encode(tab, a.size, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range writes {
		a.write(x.Data, x.Offset)
	}
	a.write(extSuper(oldRoot, "rootfs", 500*mib, 1), 2*mib+1024)
	a.write(extSuper(oldSrv, "", 200*mib, 1), 502*mib+1024)
	a.write(swapHead(oldSwap, 100*mib), 702*mib)
	w.boot()
	if err := embedGRUB(w.dev("vda"), "(,gpt2)/boot/grub", false); err != nil {
		t.Fatal(err)
	}
	w.bootOld()
	return w
}

// bootOld runs the old system: its filesystems mounted for writing, which stamps them.
func (w *world) bootOld() {
	w.boot()
	w.live = true
	w.loaded["md_mod"], w.loaded["raid1"], w.loaded["ext4"] = true, true, true
	for _, m := range []mounted{{src: "/dev/vda2", dir: "/", typ: "ext4", tree: w.trees[oldRoot]}, {src: "/dev/vda3", dir: "/srv", typ: "ext4", tree: w.trees[oldSrv]}} {
		w.mounts = append(w.mounts, m)
		w.stamp(w.dev(m.src))
	}
}

// planned makes the plan that an administrator would.
func planned(t testing.TB, w *world, change func(*plan.Intent)) (*plan.Plan, []byte) {
	t.Helper()
	f, err := w.look(context.Background(), survey.Whole)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Problems) > 0 {
		t.Fatalf("problems: %v", f.Problems)
	}
	in := plan.Intent{To: "raid1", Engine: plan.EngineTree, Disks: []string{"/dev/vdb"}, Now: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), Rand: &seeded{}}
	if change != nil {
		change(&in)
	}
	p, _, err := plan.New(in, f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if p, err = plan.Read(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return p, text
}

// migrate boots the image and runs the stages as PID 1 does; a failure ends in Abandon.
func (w *world) migrate(p *plan.Plan, text []byte, f fault) error {
	w.boot()
	w.fault = f
	e := w.env(p, text)
	err := Run(context.Background(), e)
	if err != nil {
		e.Abandon(context.Background())
	}
	return err
}

// committedFile is what GRUB would see of the commit.
func (w *world) committedFile(p *plan.Plan) bool {
	for _, n := range p.Target.Filesystems() {
		if n.Lower() == p.Boot.Volume && w.trees[n.Ref.ID()] != nil {
			return w.trees[n.Ref.ID()][strings.TrimPrefix(boot.CommittedFile(p.ID), "/")] != nil
		}
	}
	return false
}
