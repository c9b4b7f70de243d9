package extent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os/exec"
	"testing"
)

// checkRead: no panic; an Allocation that keeps its promises, or an error of
// one of the three kinds (or a failed read).
func checkRead(t *testing.T, r io.ReaderAt, size int64) (*Allocation, error) {
	t.Helper()
	a, err := Read(r, size)
	if err != nil {
		n := 0
		for _, kind := range []error{ErrUnsupported, ErrDirty, ErrCorrupt} {
			if errors.Is(err, kind) {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("error of %d kinds: %v", n, err)
		}
		return nil, err
	}
	if err := a.check(); err != nil {
		t.Fatal(err)
	}
	if n := a.CopyBytes(); a.Size > size || a.UsedBytes > n || n > a.Size || len(a.Identity) != 32 || len(a.UUID) != 36 {
		t.Fatalf("used %d, to copy %d, size %d of %d, identity %q, uuid %q", a.UsedBytes, n, a.Size, size, a.Identity, a.UUID)
	}
	for i := 1; i < len(a.Ranges); i++ {
		if a.Ranges[i].Offset == a.Ranges[i-1].end() {
			t.Fatalf("ranges %d and %d touch", i-1, i)
		}
	}
	return a, nil
}

func checkImage(t *testing.T, b []byte) {
	t.Helper()
	checkRead(t, bytes.NewReader(b), int64(len(b))) //nolint:errcheck // a refusal is as good
}

// patch writes the words of p, each with its offset before it, over b. Small
// changes of whole images take the fuzzer further than whole images do.
func patch(b, p []byte) []byte {
	b = bytes.Clone(b)
	for ; len(p) >= 8; p = p[8:] {
		off := int(binary.LittleEndian.Uint32(p)) % (len(b) - 4)
		copy(b[off:], p[4:8])
	}
	return b
}

func words(v ...uint32) (p []byte) {
	for _, v := range v {
		p = binary.LittleEndian.AppendUint32(p, v)
	}
	return p
}

func FuzzExt(f *testing.F) {
	if _, err := exec.LookPath("mke2fs"); err != nil {
		f.Skip("SKIPPED, NOT TESTED: mke2fs is not installed")
	}
	var images [][]byte
	for i, opts := range []string{
		"-t ext2 -b 1024 -N 16 -g 256", "-t ext4 -b 1024 -N 16 -g 256 -O ^has_journal,uninit_bg,^metadata_csum,^resize_inode",
		"-t ext4 -b 1024 -N 16 -g 512 -O ^has_journal,metadata_csum,64bit,meta_bg,^resize_inode",
		"-t ext4 -b 1024 -N 16 -O ^has_journal,^metadata_csum,bigalloc -C 4096", "-t ext4 -b 2048 -N 16 -O ^has_journal,^metadata_csum,mmp,sparse_super2",
	} {
		images = append(images, image(f, mkext(f, opts, 1, "")))
		for _, off := range []uint32{0x04, 0x18, 0x1c, 0x20, 0x28, 0x60, 0x64, 0xce, 0x104, 0x168} {
			f.Add(uint8(i), words(1024+off, 7))
		}
		f.Add(uint8(i), words(2048, 5, 2048+8, 0xffffffff, 4096, 0))
	}
	f.Fuzz(func(t *testing.T, which uint8, p []byte) {
		b := patch(images[int(which)%len(images)], p)
		checkImage(t, b)
		sealExt(b)
		checkImage(t, b)
	})
}

func FuzzXFS(f *testing.F) {
	images := [][]byte{tinyXFS(false), tinyXFS(true)}
	for i := range images {
		for _, off := range []uint32{4, 12, 52, 84, 88, 96, 102, 124, 512 + 16, 512 + 28, 4*512 + 4, 6*512 + 16, tinyLog, tinyLog + 1024 + 12} {
			f.Add(uint8(i), words(off, 7<<24))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, p []byte) {
		b := patch(images[int(which)%len(images)], p)
		checkImage(t, b)
		sealXFS(b)
		checkImage(t, b)
	})
}
