package image

import (
	"bytes"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

const (
	release = sim.Release
	modDir  = "usr/lib/modules/" + release + "/"
)

// aPlan is the main scenario: one ext4 and swap onto a RAID1.
func aPlan() *plan.Plan {
	phases, err := plan.PhasesOf("offline")
	if err != nil {
		panic(err)
	}
	target := plan.Graph{
		{Ref: "disk:new1", Size: 1 << 30, Layer: plan.Layer{Disk: &plan.Disk{Sector: 512, Scheme: "gpt", Table: "table"}}},
		{Ref: "part:p", On: []plan.Ref{"disk:new1"}, Size: 1 << 29, Layer: plan.Layer{Part: &plan.Part{Number: 1, Role: plan.RoleRaid, Start: 1 << 20}}},
		{Ref: "md:a", On: []plan.Ref{"part:p", ""}, Layer: plan.Layer{MD: &plan.MD{Name: "h:root", Level: 1, Devices: []string{"m", "n"}}}},
		{Ref: "fs:new", On: []plan.Ref{"md:a"}, Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/"}}},
		{Ref: "swap:t", On: []plan.Ref{"md:a"}, Layer: plan.Layer{Swap: &plan.Swap{}}},
	}
	return &plan.Plan{
		Version: plan.Version, ID: "6f1c", Created: time.Unix(1700000000, 0).UTC(), Strategy: "offline", To: "raid1", Phases: phases,
		Policy:  plan.Policy{OnFailure: "reboot", Panic: 30, ReadError: "stop", DeadlineSecs: 60},
		Machine: plan.Host{Hostname: "h", Firmware: "bios", Family: "debian"},
		Source: plan.Graph{
			{Ref: "disk:old1", Size: 1 << 30, Layer: plan.Layer{Disk: &plan.Disk{Sector: 512}}},
			{Ref: "fs:old", On: []plan.Ref{"disk:old1"}, Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/"}}},
			{Ref: "swap:s", On: []plan.Ref{"disk:old1"}, Layer: plan.Layer{Swap: &plan.Swap{}}},
		},
		Target:  target,
		Final:   target,
		Moves:   []plan.Move{{From: "fs:old", To: "fs:new", Engine: plan.EngineTree}, {From: "swap:s", To: "swap:t", Engine: plan.EngineMake}},
		Journal: "part:p",
		Boot:    plan.Booting{Root: "new", Volume: "md:a", Mount: "/", BootFS: "old", Kernel: "/boot/vmlinuz-" + release, Release: release},
		Drivers: []string{"virtio_blk", "libata", "pcieportdrv"},
	}
}

func text(t testing.TB, p *plan.Plan) []byte {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// aHost is the made-up Debian with this program, more modules of which only some are wanted, and what an administrator may
// have added for them.
func aHost() fstest.MapFS {
	root := sim.DebianRoot("")
	put := func(name string, mode fs.FileMode, data []byte) { root[name] = &fstest.MapFile{Mode: mode, Data: data} }
	table := func(name, more string) { put(modDir+name, 0o644, append(root[modDir+name].Data, more...)) }
	mod := func(file, deps string, info ...string) {
		put(modDir+file, 0o600, sim.Module(release, info...))
		table("modules.dep", file+": "+deps+"\n")
	}
	mod("kernel/drivers/ata/libata.ko", "", "firmware=ata/present.bin", "firmware=ata/packed.bin", "firmware=ata/absent.bin")
	mod("kernel/drivers/scsi/sd_mod.ko", "")
	mod("kernel/drivers/md/raid10.ko", "kernel/drivers/md/md-mod.ko")
	mod("kernel/net/unrelated.ko", "")
	table("modules.alias", "alias net-x unrelated\n")
	table("modules.softdep", "softdep unrelated pre: x\n")
	for _, n := range []string{"cat", "mount"} {
		put("usr/bin/"+n, 0o755, sim.Program(sim.Loader, "libc.so.6"))
	}
	put("usr/lib/firmware/ata/present.bin", 0o600, []byte("firmware"))
	put("opt/migrate-init", 0o700, sim.Program(""))
	put("usr/lib/modprobe.d/h.conf", 0o600, []byte("options libata noacpi=1\n"))
	put("etc/modprobe.d/b.conf", 0o600, []byte("blacklist unrelated\n"))
	put("etc/modprobe.d/masked.conf", fs.ModeSymlink|0o777, []byte("/dev/null"))
	put("dev/null", fs.ModeDevice|fs.ModeCharDevice|0o666, nil)
	put("run/modprobe.d/r.conf", 0o644, []byte("install ext4 /bin/false\n"))
	put("usr/lib/firmware/ata/packed.bin.zst", 0o600, zstdOf("unpacked"))
	put("proc/sys/kernel/osrelease", 0o444, []byte(release+"\n"))
	put("sys/module/pcieportdrv/uevent", 0o200, nil)
	return root
}

// withDM adds the modules that make snapshots in memory.
func withDM(root fstest.MapFS) {
	for file, deps := range map[string]string{"drivers/block/loop.ko": "", "drivers/md/dm-mod.ko": "", "drivers/md/dm-bufio.ko": "kernel/drivers/md/dm-mod.ko",
		"drivers/md/dm-snapshot.ko": "kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko"} {
		root[modDir+"kernel/"+file] = &fstest.MapFile{Mode: 0o644, Data: sim.Module(release)}
		dep := root[modDir+"modules.dep"]
		dep.Data = append(dep.Data, "kernel/"+file+": "+deps+"\n"...)
	}
}

func input(t testing.TB, root fs.FS, p *plan.Plan) Input {
	t.Helper()
	return Input{Plan: p, PlanText: text(t, p), Root: root, Self: "/opt/migrate-init", Family: families().Family(p.Machine.Family)}
}

func collect(t testing.TB, in Input) *Image {
	t.Helper()
	img, err := Collect(in)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func packed(t testing.TB, img *Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := img.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func families() plan.Rules {
	return plan.Rules{Families: []plan.Family{{Name: "debian", Install: "apt-get install PACKAGES", Reinstall: "apt-get install --reinstall PACKAGES", Kernel: "linux-image-RELEASE"}}}
}
