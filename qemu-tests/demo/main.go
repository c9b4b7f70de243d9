// Demo tells the story of one migration on a real Debian in QEMU: each step with the command that an administrator types
// and its answer, and at the end what changed and how long it took. make demo runs it.
//
// The guest's console, the whole transcript and the picture are in the cache directory that it names.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"golang.org/x/sys/unix"

	"migrate-init/qemu-tests/lab"
)

func main() {
	picture := flag.String("svg", "", "also write the picture of the run to this `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := run(ctx, *picture); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, picture string) (err error) {
	s := newScreen(os.Stdout)
	l, err := lab.Open(func(format string, args ...any) { s.wait(fmt.Sprintf(format, args...)) })
	if err != nil {
		return err
	}
	dir, clean, err := l.RunDir("demo")
	if err != nil {
		return err
	}
	defer func() {
		if e := clean(); err == nil {
			err = e
		}
	}()
	st := &story{screen: s, lab: l, dir: dir, spec: lab.Debian()}
	s.title("migrate-init: a server's root moves from one disk to RAID1",
		"This is a real Debian 12 in QEMU, by software emulation: about five minutes, without KVM.",
		"The guest's console is in "+filepath.Join(dir, "console.log"))
	if st.tool, err = buildTool(ctx, dir); err != nil {
		return err
	}
	told := st.tell(ctx)
	s.done()
	if told != nil {
		return fmt.Errorf("%w\nthe guest's console is in %s", told, filepath.Join(dir, "console.log"))
	}
	if err := os.WriteFile(filepath.Join(dir, "transcript.txt"), []byte(s.transcript()), 0o644); err != nil {
		return err
	}
	for _, name := range []string{filepath.Join(dir, "demo.svg"), picture} {
		if name == "" {
			continue
		}
		if err := os.WriteFile(name, svg(s.lines), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// buildTool builds the binary as it is shipped.
func buildTool(ctx context.Context, dir string) ([]byte, error) {
	out := filepath.Join(dir, "migrate-init.test")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, "migrate-init/cmd/migrate-init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, b)
	}
	return os.ReadFile(out)
}
