package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/tree"

	"golang.org/x/sys/unix"
)

// TestDriver is no test of its own: bench runs it, with arguments, as the
// process in which an engine is measured.
func TestDriver(t *testing.T) {
	if flag.NArg() != 4 {
		t.Skip("nothing to do: make bench runs this with an engine, a source, a target and a state file")
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.NumCPU()) // as migrate-init does
	}
	drive := map[string]func(src, dst, state string) error{
		"tree": treeCopy, "tree-verify": treeVerify, "extent": extentCopy, "extent-verify": extentVerify,
		"raw": rawCopy, "raw-read": func(src, dst, _ string) error { return rawRead(src, dst) },
	}[flag.Arg(0)]
	if drive == nil {
		t.Fatalf("engine %q: not known", flag.Arg(0))
	}
	if err := drive(flag.Arg(1), flag.Arg(2), flag.Arg(3)); err != nil {
		t.Fatal(err)
	}
}

// workers is for attempts; unset, the engine decides.
func workers() int {
	n, _ := strconv.Atoi(os.Getenv("BENCH_WORKERS"))
	return n
}

// treeCopy does what the migration does: hashes go into a manifest, which a
// checkpoint makes durable.
func treeCopy(src, dst, state string) error {
	f, err := os.Create(state)
	if err != nil {
		return err
	}
	o := tree.Options{Workers: workers(), Manifest: f, Checkpoint: func(tree.Checkpoint) error { return nil }}
	_, err = tree.Copy(context.Background(), src, dst, o)
	return errors.Join(err, f.Close())
}

func treeVerify(src, dst, state string) error {
	f, err := os.Open(state)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	m, err := tree.OpenManifest(f, st.Size())
	if err != nil {
		return err
	}
	rep, err := tree.Verify(context.Background(), src, dst, tree.Options{Workers: workers(), Hashes: m})
	if err == nil && (!rep.Equal() || rep.Reread > 0) {
		var lines strings.Builder
		for _, d := range rep.Differences {
			fmt.Fprintf(&lines, "\n%s", d)
		}
		err = fmt.Errorf("%d differences, %d bytes without hash%s", rep.Count, rep.Reread, &lines)
	}
	return err
}

func openDev(path string, flags int) (*os.File, int64, error) {
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, 0, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	return f, size, err
}

func allocation(path string) (*os.File, *extent.Allocation, error) {
	f, size, err := openDev(path, os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	a, err := extent.Read(f, size)
	return f, a, err
}

func extentCopy(src, dst, state string) error {
	s, a, err := allocation(src)
	if err != nil {
		return err
	}
	d, _, err := openDev(dst, os.O_RDWR)
	if err != nil {
		return err
	}
	res, err := extent.Copy(context.Background(), s, d, a, extent.Options{Workers: workers()})
	if err != nil {
		return err
	}
	b, err := json.Marshal(res.Sums)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(state, b, 0o600), d.Close())
}

func extentVerify(src, dst, state string) error {
	_, a, err := allocation(src)
	if err != nil {
		return err
	}
	d, _, err := openDev(dst, os.O_RDONLY)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(state)
	if err != nil {
		return err
	}
	var sums []extent.Sum
	if err := json.Unmarshal(b, &sums); err != nil {
		return err
	}
	_, err = extent.Verify(context.Background(), d, a, sums, extent.Options{})
	return err
}

// rawCopy writes as many bytes as the filesystem uses from the source's start to
// the target's: four buffers of 8 MiB, reading and writing at once, direct I/O.
func rawCopy(src, dst, _ string) error {
	s, a, err := allocation(src)
	if err != nil {
		return err
	}
	in, _, err := openDev(src, os.O_RDONLY|unix.O_DIRECT)
	if err != nil {
		return err
	}
	out, _, err := openDev(dst, os.O_RDWR|unix.O_DIRECT)
	if err != nil {
		return err
	}
	const size = 8 << 20
	free, full, failed := make(chan []byte, 4), make(chan []byte, 4), make(chan error, 1)
	for range cap(free) {
		b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		free <- b
	}
	go func() {
		defer close(full)
		for at := int64(0); at < a.CopyBytes(); at += size {
			b := (<-free)[:min(size, (a.CopyBytes()-at+4095)&^4095)]
			if _, err := in.ReadAt(b, at); err != nil {
				failed <- err
				return
			}
			full <- b
		}
	}()
	at := int64(0)
	for b := range full {
		if _, err := out.WriteAt(b, at); err != nil {
			return err
		}
		at += int64(len(b))
		free <- b[:cap(b)]
	}
	select {
	case err = <-failed:
	default:
	}
	return errors.Join(err, s.Close(), out.Sync())
}

// rawRead is one sequential read of as many bytes.
func rawRead(src, dst string) error {
	_, a, err := allocation(src)
	if err != nil {
		return err
	}
	in, _, err := openDev(dst, os.O_RDONLY|unix.O_DIRECT)
	if err != nil {
		return err
	}
	b, err := unix.Mmap(-1, 0, 8<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	for at := int64(0); at < a.CopyBytes() && err == nil; at += int64(len(b)) {
		_, err = in.ReadAt(b[:min(int64(len(b)), (a.CopyBytes()-at+4095)&^4095)], at)
	}
	return errors.Join(err, in.Close())
}
