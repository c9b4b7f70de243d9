package qemutests

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// projects makes a source on ext4 with project quotas, and an empty target. lsattr is asked after both were mounted again.
const projects = `set -eu
cd /root
for n in src dst; do
	truncate --size=96M $n.img
	mke2fs -q -F -t ext4 -O project,quota $n.img
	mkdir $n
	mount -o loop $n.img $n
done
cd src
mkdir p
echo before >p/before
chattr -p 4711 p
chattr +P p
echo in >p/in
mkdir p/sub
echo below >p/sub/below
echo other >p/other
chattr -p 7 p/other
mkfifo p/fifo
mkdir q
chattr -p 5 q
echo none >q/none
echo most >most
chattr -p 4294967294 most
ln most q/most
dd if=/dev/urandom of=journal bs=64k count=40 status=none
chattr +j journal
mkdir journaled
chattr +j journaled
dd if=/dev/urandom of=journaled/inherits bs=64k count=3 status=none
echo frozen >p/frozen
chattr +ia p/frozen
chattr +i p
cd ..
umount src
mount -o loop,ro src.img src
`

// casefold makes a source with a directory that knows no case, and a target that can hold it.
const casefold = `set -eu
cd /root
for n in fold folded; do
	truncate --size=32M $n.img
	mke2fs -q -F -t ext4 -O casefold $n.img
	mkdir $n
	mount -o loop $n.img $n
done
mkdir fold/plain fold/any
chattr +F fold/any
echo x >fold/any/Name
mkdir fold/any/Sub
`

// guestCopy is what the command prints.
type guestCopy struct {
	Findings []struct {
		ID, Severity, Detail string
		Paths                []string
	}
	Verified struct{ Files int64 }
}

func (g *guestCopy) has(id, severity, path string) bool {
	for _, f := range g.Findings {
		if f.ID == id && f.Severity == severity && slices.Contains(f.Paths, path) && f.Detail != "" {
			return true
		}
	}
	return false
}

// projectGuest drives the command in one guest.
type projectGuest struct {
	t   *testing.T
	ctx context.Context
	vm  *lab.VM
}

func (g projectGuest) must(script string) string {
	g.t.Helper()
	out, err := g.vm.MustRun(g.ctx, script)
	if err != nil {
		g.t.Fatal(err)
	}
	return out
}

// copy runs the command and wants the exit code.
func (g projectGuest) copy(code int, src, dst string) (res guestCopy) {
	g.t.Helper()
	r, err := g.vm.Run(g.ctx, "/root/migrate-init copy --json "+src+" "+dst+" 2>/root/said; c=$?; cat /root/said >&2; exit $c")
	if err != nil || r.Code != code {
		g.t.Fatalf("copy %s: code %d, want %d, %v\n%s", src, r.Code, code, err, r.Out)
	}
	_, object, _ := strings.Cut("\n"+r.Out, "\n{")
	if err := json.NewDecoder(strings.NewReader("{" + object)).Decode(&res); err != nil {
		g.t.Fatalf("copy --json: %v\n%s", err, r.Out)
	}
	return res
}

// lsattr lists project, flags and path of all below dir, in order.
func (g projectGuest) lsattr(dir string) []string {
	g.t.Helper()
	var out []string
	for l := range strings.Lines(g.must("cd " + dir + " && lsattr -Rap . && lsattr -dp .")) {
		if f := strings.Fields(l); len(f) == 3 && !strings.HasSuffix(f[2], "/.") && !strings.HasSuffix(f[2], "/..") {
			out = append(out, strings.Join(f, " "))
		}
	}
	slices.Sort(out)
	return out
}

// copyProjects copies an ext4 with project ids, journaled data and, where the kernel has it, casefold by `migrate-init copy`.
func copyProjects(ctx context.Context, t *testing.T, vm *lab.VM) {
	g := projectGuest{t, ctx, vm}
	b, err := os.ReadFile(tool(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Push(ctx, "/root/migrate-init", 0o755, b); err != nil {
		t.Fatal(err)
	}
	g.must(projects)
	res := g.copy(0, "/root/src", "/root/dst")
	if res.Verified.Files == 0 {
		t.Errorf("nothing was verified: %+v", res)
	}
	if !res.has("tree.projectunread", "loss", "p/fifo") {
		t.Errorf("not said that the project id of a fifo cannot be read: %+v", res.Findings)
	}
	g.must("cd /root && umount dst && e2fsck -fn dst.img && mount -o loop,ro dst.img dst")
	src, dst := g.lsattr("/root/src"), g.lsattr("/root/dst")
	t.Logf("lsattr -p of the copy:\n%s", strings.Join(dst, "\n"))
	for _, l := range src {
		if !slices.Contains(dst, l) {
			t.Errorf("lsattr of the source, not of the copy: %s", l)
		}
	}
	if len(src) != len(dst) {
		t.Errorf("lsattr has %d lines of the source, %d of the copy", len(src), len(dst))
	}
	for _, want := range []struct{ path, project, flags string }{
		{"./p", "4711", "Pi"}, {"./p/before", "0", ""}, {"./p/in", "4711", ""}, {"./p/sub", "4711", "P"}, {"./p/sub/below", "4711", ""}, {"./p/other", "7", ""},
		{"./p/frozen", "4711", "ia"}, {"./q", "5", ""}, {"./q/none", "0", ""}, {"./most", "4294967294", ""}, {"./q/most", "4294967294", ""},
		{"./journal", "0", "j"}, {"./journaled", "0", "j"}, {"./journaled/inherits", "0", "j"},
	} {
		if !slices.ContainsFunc(dst, func(l string) bool {
			f := strings.Fields(l)
			has := f[2] == want.path && f[0] == want.project
			for _, c := range want.flags {
				has = has && strings.ContainsRune(f[1], c)
			}
			return has
		}) {
			t.Errorf("%s has not project %s and flags %q in the copy", want.path, want.project, want.flags)
		}
	}
	g.must("cd /root && umount src dst && rm src.img dst.img")
	g.copyCasefold()
}

func (g projectGuest) copyCasefold() {
	g.t.Helper()
	if r, err := g.vm.Run(g.ctx, "test -e /sys/fs/ext4/features/casefold"); err != nil || r.Code != 0 {
		g.t.Log("NOT TESTED: casefold, the guest's kernel has no CONFIG_UNICODE")
		return
	}
	g.must(casefold)
	g.must("cd /root && truncate --size=32M no.img && mke2fs -q -F -t ext4 no.img && mkdir no && mount -o loop no.img no")
	if res := g.copy(1, "/root/fold", "/root/no"); !res.has("tree.flags", "fail", "any") || !res.has("tree.flags", "fail", "any/Sub") {
		g.t.Errorf("not said that the target has no casefold: %+v", res.Findings)
	}
	if out := g.must("ls -A /root/no"); out != "lost+found" {
		g.t.Errorf("a copy that was refused left %q", out)
	}
	g.copy(0, "/root/fold", "/root/folded")
	src, dst := g.lsattr("/root/fold"), g.lsattr("/root/folded")
	if !slices.Equal(src, dst) || !slices.ContainsFunc(dst, func(l string) bool {
		f := strings.Fields(l)
		return f[2] == "./any" && strings.Contains(f[1], "F")
	}) {
		g.t.Errorf("lsattr of the source:\n%s\nof the copy:\n%s", strings.Join(src, "\n"), strings.Join(dst, "\n"))
	}
	g.must("cat /root/folded/any/nAME && cd /root && umount fold folded no && rm *.img")
}
