package mkfs

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestBtrfsArgv(t *testing.T) {
	s := Spec{Type: "btrfs", Device: "/dev/md0", UUID: id, Label: "root", BlockSize: 4096, NodeSize: 16384, Checksum: "xxhash", Features: []string{"extref", "skinny-metadata", "no-holes"}}
	for version, want := range map[string]string{
		"":     "-O ^mixed-bg,no-holes",
		"6.2":  "-O ^mixed-bg,no-holes -R ^free-space-tree",
		"6.13": "-O ^mixed-bg,no-holes,^block-group-tree -R ^free-space-tree",
	} {
		s.Version = version
		argv, err := Argv(s)
		want = "mkfs.btrfs -q -f -K -U " + id + " -d single -m dup " + want + " -n 16384 -s 4096 --csum xxhash -L root /dev/md0"
		if got := strings.Join(argv, " "); err != nil || got != want {
			t.Errorf("version %q\ngot  %s\nwant %s\n%v", version, got, want, err)
		}
	}
}

// TestBtrfsOracle makes filesystems of many shapes with the host's program; one that is made from what probe reads of the first
// has the same features.
func TestBtrfsOracle(t *testing.T) {
	prog, err := exec.LookPath("mkfs.btrfs")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: no mkfs.btrfs")
	}
	words, err := exec.Command(prog, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimPrefix(strings.Fields(string(words))[4], "v")
	for _, opts := range []string{"", "-R ^free-space-tree", "-O ^no-holes", "-O mixed-bg -n 4096", "--csum sha256 -n 32768", "-m single"} {
		t.Run(opts, func(t *testing.T) {
			img := image(t, 256<<20)
			if out, err := exec.Command(prog, append(strings.Fields("-q -f "+opts), "-L", "label", img)...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			first := probed(t, img)
			if first.Btrfs == nil || len(first.Btrfs.Features) == 0 {
				t.Fatalf("%+v", first)
			}
			x := first.Btrfs
			second := make1(t, prog, Spec{Type: "btrfs", UUID: id, Label: "label", BlockSize: first.BlockSize, NodeSize: x.NodeSize, Checksum: x.Checksum, Features: x.Features, Version: version})
			y := second.Btrfs
			if !slices.Equal(x.Features, y.Features) || second.UUID != id || second.Label != "label" || second.BlockSize != first.BlockSize || x.NodeSize != y.NodeSize || x.Checksum != y.Checksum {
				t.Errorf("made %+v\nand then %+v\n%v\n%v", first, second, x, y)
			}
		})
	}
}
