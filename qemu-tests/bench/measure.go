package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sample is one measured run: seconds, and bytes of peak resident memory.
type sample struct {
	wall, cpu, machine float64
	others             float64 // share of the machine that other processes took, as far as it can be seen
	memory             int64
	parts              map[string]float64
}

// disturbed is the share of others above which a run does not count, if there are better ones.
const disturbed = 0.10

// measure runs a pass, and counts the sync of the target.
func measure(l *lab, p pass, src, dst *disk) (s sample, err error) {
	from, to := src.dir, dst.dir
	if !src.mounted {
		from, to = src.dev, dst.dev
	}
	words := strings.NewReplacer("SRC", from, "DST", to, "DRIVER", l.o.driver, "BINARY", l.o.binary, "STATE", filepath.Join(l.o.dir, "state"), "FS", src.fs)
	command := func(argv []string) *exec.Cmd {
		var c []string
		for _, a := range argv {
			c = append(c, words.Replace(a))
		}
		return exec.Command(c[0], c[1:]...)
	}
	cmds := []*exec.Cmd{command(p.argv)}
	var ends []*os.File
	if p.into != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return s, err
		}
		cmds = append(cmds, command(p.into))
		cmds[0].Stdout, cmds[1].Stdin, ends = w, r, []*os.File{r, w}
	}
	end, err := os.Open(to)
	if err != nil {
		return s, err
	}
	defer end.Close() //nolint:errcheck // only for its syncs
	busy, user := machineCPU()
	begin, own := time.Now(), 0.0
	said := make([]bytes.Buffer, len(cmds)) // of each its own: they write at once
	for i, c := range cmds {
		c.Stderr = &said[i]
		if c.Stdout == nil {
			c.Stdout = &said[i]
		}
		if err := c.Start(); err != nil {
			return s, err
		}
	}
	for _, f := range ends {
		_ = f.Close()
	}
	quit, peak := make(chan struct{}), make(chan int64)
	go watch(os.Getpid(), quit, peak)
	for i, c := range cmds {
		if e := c.Wait(); e != nil {
			err = errors.Join(err, l.failed(c, e, said[i].Bytes()))
		}
		own += c.ProcessState.UserTime().Seconds()
		s.cpu += (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
	}
	if src.mounted {
		err = errors.Join(err, unix.Syncfs(int(end.Fd())))
	} else {
		err = errors.Join(err, end.Sync())
	}
	s.wall = time.Since(begin).Seconds()
	busy2, user2 := machineCPU()
	s.machine = busy2 - busy
	s.others = max(0, user2-user-own) / s.wall / float64(runtime.NumCPU())
	close(quit)
	s.memory = <-peak
	if err == nil && p.parts != nil {
		s.parts, err = p.parts(said[len(said)-1].Bytes())
	}
	return s, err
}

// failed keeps all that a command said in a file that stays, because a terminal
// may not; the error has the beginning.
func (l *lab) failed(c *exec.Cmd, why error, said []byte) error {
	const most = 4 << 10
	name := filepath.Join(l.o.dir, "failed.txt")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s %s: %v\n%s\n", time.Now().UTC().Format(time.RFC3339), strings.Join(c.Args, " "), why, said)
		err = errors.Join(err, f.Close())
	}
	head := said
	if len(said) > most {
		head = append(bytes.Clone(said[:most]), fmt.Sprintf("... (%d bytes)", len(said))...)
	}
	return errors.Join(fmt.Errorf("%s: %w: %s\nall of it is in %s", strings.Join(c.Args, " "), why, head, name), err)
}

// watch adds up the peaks of all processes below root. rusage would not do: a
// child's begins with the memory of the parent it was forked from.
func watch(root int, quit <-chan struct{}, peak chan<- int64) {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	most := map[int]int64{}
	for {
		for _, pid := range below(root) {
			most[pid] = max(most[pid], status(pid))
		}
		select {
		case <-t.C:
			continue
		case <-quit:
		}
		sum := int64(0)
		for _, n := range most {
			sum += n
		}
		peak <- sum
		return
	}
}

func below(pid int) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, w := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(w); err == nil {
				pids = append(append(pids, n), below(n)...)
			}
		}
	}
	return pids
}

// status is VmHWM in bytes, 0 when the process is gone.
func status(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// machineCPU is the busy time of all CPUs of /proc/stat, which counts in
// hundredths of a second: user, nice, system, irq and softirq; and of it user and
// nice. What is user time and not the engine's is others': the kernel's
// helpers for the engine have system time only.
func machineCPU() (busy, user float64) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, w := range strings.Fields(line) {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil || i == 4 || i == 5 || i > 7 { // idle, iowait, steal and guest
			continue
		}
		busy += float64(n) / 100
		if i < 3 {
			user += float64(n) / 100
		}
	}
	return busy, user
}

// quiet waits, but not forever, until other processes take less than a tenth of the machine.
func quiet(patience time.Duration) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		_, before := machineCPU()
		time.Sleep(500 * time.Millisecond)
		if _, now := machineCPU(); (now-before)/0.5 < disturbed*float64(runtime.NumCPU()) {
			return
		}
	}
}
