package image

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// layered is the main scenario with its root on a volume of a group inside of an encrypted container.
func layered(keyFile string) *plan.Plan {
	p := aPlan()
	p.Source = plan.Graph{
		p.Source[0],
		{Ref: "luks:c1", On: []plan.Ref{"disk:old1"}, Layer: plan.Layer{LUKS: &plan.LUKS{Name: "crypt0", Version: 2, Modules: []string{"aes", "xts", "nonesuch"}, KeyFile: keyFile}}},
		{Ref: "vg:g1", On: []plan.Ref{"luks:c1"}, Layer: plan.Layer{VG: &plan.VG{Name: "vg0", Extent: 4 << 20, PVs: []string{"pv"}}}},
		{Ref: "lv:l1", On: []plan.Ref{"vg:g1"}, Size: 1 << 29, Layer: plan.Layer{LV: &plan.LV{Name: "root", Group: "vg0", Type: "linear"}}},
		{Ref: "fs:old", On: []plan.Ref{"lv:l1"}, Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/"}}},
		{Ref: "swap:s", On: []plan.Ref{"lv:l1"}, Layer: plan.Layer{Swap: &plan.Swap{}}},
	}
	return p
}

// cryptHost is the host with the modules and programs that open a container.
func cryptHost() fstest.MapFS {
	root := aHost()
	withDM(root)
	for file, deps := range map[string]string{"drivers/md/dm-crypt.ko": "kernel/drivers/md/dm-mod.ko", "crypto/xts.ko": "", "crypto/ecb.ko": "", "arch/x86/crypto/aesni-intel.ko": "", "crypto/af_alg.ko": ""} {
		root[modDir+"kernel/"+file] = &fstest.MapFile{Mode: 0o644, Data: sim.Module(release)}
		dep := root[modDir+"modules.dep"]
		dep.Data = append(dep.Data, "kernel/"+file+": "+deps+"\n"...)
	}
	root[modDir+"modules.alias"].Data = append(root[modDir+"modules.alias"].Data, "alias crypto-aes aesni_intel\nalias crypto-xts xts\n"...)
	root["usr/sbin/cryptsetup"] = &fstest.MapFile{Mode: 0o755, Data: sim.Program(sim.Loader, "libc.so.6")}
	root["usr/lib/x86_64-linux-gnu/libgcc_s.so.1"] = root["usr/lib/x86_64-linux-gnu/libc.so.6"]
	root["etc/keys/root.key"] = &fstest.MapFile{Mode: 0o400, Data: []byte("a key")}
	return root
}

// A container needs its mapping, its ciphers where they are modules, and cryptsetup with the library that it opens by itself;
// the key file only where the plan says so.
func TestContainerInImage(t *testing.T) {
	root := cryptHost()
	if root["usr/lib/x86_64-linux-gnu/libgcc_s.so.1"] == nil {
		t.Fatal("the made-up host has its C library elsewhere")
	}
	paths := func(img *Image) (out []string) {
		for _, it := range img.List() {
			out = append(out, it.Path)
		}
		return out
	}
	got := paths(collect(t, input(t, root, layered(""))))
	for _, want := range []string{"dm-crypt.ko", "dm-mod.ko", "xts.ko", "aesni-intel.ko", "ecb.ko", "af_alg.ko", "/usr/sbin/cryptsetup", "libgcc_s.so.1"} {
		if !slices.ContainsFunc(got, func(p string) bool { return strings.HasSuffix(p, want) }) {
			t.Errorf("%s is not inside", want)
		}
	}
	if slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(p, KeyDir) }) {
		t.Error("a key file is inside, and no one asked for it")
	}
	for _, it := range collect(t, input(t, root, layered("/etc/keys/root.key"))).List() {
		if it.Path == KeyDir+"/c1" && it.Mode.Perm() == 0o400 && it.Size == 5 {
			return
		}
	}
	t.Error("the key file of the plan is not inside")
}

func TestContainerRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file, key, want string
	}{
		"no cryptsetup": {"usr/sbin/cryptsetup", "", "tool cryptsetup: not found"},
		"no dm_crypt":   {modDir + "kernel/drivers/md/dm-crypt.ko", "", "dm-crypt.ko"},
		"no libgcc_s":   {"usr/lib/x86_64-linux-gnu/libgcc_s.so.1", "", "libgcc_s.so.1"},
		"no key file":   {"etc/keys/root.key", "/etc/keys/root.key", "key file /etc/keys/root.key of crypt0"},
	} {
		root := cryptHost()
		delete(root, c.file)
		_, err := Collect(input(t, root, layered(c.key)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
