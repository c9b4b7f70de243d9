package mkfs

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestXFSArgv(t *testing.T) {
	old := Spec{Type: "xfs", Device: "/dev/md0", UUID: id, Label: "root", BlockSize: 4096, InodeSize: 512, Features: []string{"crc", "finobt", "ftype", "sparse", "metauuid", "reflink"}}
	for version, want := range map[string]string{
		"":      "-m uuid=U,crc=1,finobt=1,rmapbt=0,reflink=1 -i size=512,sparse=1 -n ftype=1",
		"5.9.0": "-m uuid=U,crc=1,finobt=1,rmapbt=0,reflink=1 -i size=512,sparse=1 -n ftype=1",
		"5.10":  "-m uuid=U,crc=1,finobt=1,rmapbt=0,reflink=1,bigtime=0,inobtcount=0 -i size=512,sparse=1 -n ftype=1",
		"6.1.0": "-m uuid=U,crc=1,finobt=1,rmapbt=0,reflink=1,bigtime=0,inobtcount=0 -i size=512,sparse=1,nrext64=0 -n ftype=1",
		"6.13":  "-m uuid=U,crc=1,finobt=1,rmapbt=0,reflink=1,bigtime=0,inobtcount=0 -i size=512,sparse=1,nrext64=0,exchange=0 -n ftype=1,parent=0",
	} {
		old.Version = version
		argv, err := Argv(old)
		want = "mkfs.xfs -q -f -K " + strings.ReplaceAll(want, "U", id) + " -b size=4096 -L root /dev/md0"
		if got := strings.Join(argv, " "); err != nil || got != want {
			t.Errorf("version %q\ngot  %s\nwant %s\n%v", version, got, want, err)
		}
	}
	argv, err := Argv(Spec{Type: "xfs", Device: "/dev/md0", UUID: id})
	if got := strings.Join(argv, " "); err != nil || got != "mkfs.xfs -q -f -K -m uuid="+id+" /dev/md0" {
		t.Errorf("defaults: %s, %v", got, err)
	}
}

// TestXFSOracle makes filesystems of many shapes with the host's program; one that is made from what probe reads of the first
// has the same features.
func TestXFSOracle(t *testing.T) {
	prog, err := exec.LookPath("mkfs.xfs")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: no mkfs.xfs")
	}
	words, err := exec.Command(prog, "-V").Output()
	if err != nil {
		t.Fatal(err)
	}
	version := string(words[strings.LastIndexByte(strings.TrimSpace(string(words)), ' ')+1:])
	for _, opts := range []string{"", "-m bigtime=0,inobtcount=0", "-m rmapbt=1", "-m reflink=0,finobt=0,inobtcount=0,bigtime=0 -i sparse=0", "-b size=2048 -i size=1024", "-n version=ci",
		"-m crc=0 -n ftype=0", "-m crc=0 -n ftype=1"} {
		t.Run(opts, func(t *testing.T) {
			img := image(t, 320<<20)
			args := append(strings.Fields("-q -f "+opts), "-L", "label", img)
			if out, err := exec.Command(prog, args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			first := probed(t, img)
			if first.XFS == nil || first.XFS.Version == 5 != slices.Contains(first.XFS.Features, "crc") {
				t.Fatalf("%+v", first.XFS)
			}
			second := make1(t, prog, Spec{Type: "xfs", UUID: id, Label: "label", BlockSize: first.BlockSize, InodeSize: first.XFS.InodeSize, Features: first.XFS.Features, Version: version})
			if !slices.Equal(first.XFS.Features, second.XFS.Features) || second.UUID != id || second.Label != "label" || second.BlockSize != first.BlockSize || second.XFS.InodeSize != first.XFS.InodeSize {
				t.Errorf("made %+v\nand then %+v\n%v\n%v", first, second, first.XFS, second.XFS)
			}
		})
	}
}
