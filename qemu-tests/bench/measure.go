package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sample is one measured run: seconds, and bytes of peak resident memory.
type sample struct {
	wall, cpu, machine float64
	memory             int64
}

// measure runs a pass, and counts the sync of the target.
func measure(l *lab, p pass, src, dst *disk) (s sample, err error) {
	from, to := src.dir, dst.dir
	if !src.mounted {
		from, to = src.dev, dst.dev
	}
	words := strings.NewReplacer("SRC", from, "DST", to, "DRIVER", l.o.driver, "STATE", filepath.Join(l.o.dir, "state"), "FS", src.fs)
	command := func(argv []string) *exec.Cmd {
		var c []string
		for _, a := range argv {
			c = append(c, words.Replace(a))
		}
		return exec.Command(c[0], c[1:]...)
	}
	cmds, errs := []*exec.Cmd{command(p.argv)}, bytes.Buffer{}
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
	busy, begin := machineCPU(), time.Now()
	for _, c := range cmds {
		c.Stderr = &errs
		if err := c.Start(); err != nil {
			return s, err
		}
	}
	for _, f := range ends {
		_ = f.Close()
	}
	quit, peak := make(chan struct{}), make(chan int64)
	go watch(os.Getpid(), quit, peak)
	for _, c := range cmds {
		if e := c.Wait(); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), e, errs.Bytes()))
		}
		s.cpu += (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
	}
	if src.mounted {
		err = errors.Join(err, unix.Syncfs(int(end.Fd())))
	} else {
		err = errors.Join(err, end.Sync())
	}
	s.wall = time.Since(begin).Seconds()
	s.machine = machineCPU() - busy
	close(quit)
	s.memory = <-peak
	return s, err
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

// machineCPU is the busy time of all CPUs: user, nice, system, irq and softirq
// of /proc/stat, which counts in hundredths of a second.
func machineCPU() float64 {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	sum := int64(0)
	for i, w := range strings.Fields(line) {
		if n, err := strconv.ParseInt(w, 10, 64); err == nil && i != 4 && i != 5 && i < 8 {
			sum += n
		}
	}
	return float64(sum) / 100
}
