package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

type key struct{ fs, source, engine string }

// results keeps the samples in the order in which the engines first ran.
type results struct {
	order []key
	all   map[key][]sample
}

func (r *results) add(k key, s sample) {
	if r.all == nil {
		r.all = map[key][]sample{}
	}
	if r.all[k] == nil {
		r.order = append(r.order, k)
	}
	r.all[k] = append(r.all[k], s)
}

func values(ss []sample, f func(sample) float64) []float64 {
	var v []float64
	for _, s := range ss {
		v = append(v, f(s))
	}
	slices.Sort(v)
	return v
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func wall(s sample) float64 { return s.wall }

// quietest leaves out the runs that others disturbed, unless all were.
func quietest(ss []sample) (best []sample) {
	for _, s := range ss {
		if s.others < disturbed {
			best = append(best, s)
		}
	}
	if best == nil {
		return ss
	}
	return best
}

func (r *results) wall(fs, source, engine string) float64 {
	return median(values(quietest(r.all[key{fs, source, engine}]), wall))
}

// ratio is how many times faster the row is; empty where there is nothing to compare with.
func ratio(other, own float64) string {
	if other == 0 || own == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", other/own)
}

// markdown is one table a source and filesystem, and the verify passes against their copies.
func (r *results) markdown(o options, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s: %s. Seed %d, scale %g, %d rounds, %s in all.\n", time.Now().UTC().Format("2006-01"), machine(), o.seed, o.scale, o.rounds, took.Round(time.Second))
	last := key{}
	for _, k := range r.order {
		if k.fs != last.fs || k.source != last.source {
			fmt.Fprintf(&b, "\n### %s on %s\n\n| engine | runs | wall s, median (spread) | CPU s | machine CPU s | others | peak MiB | faster than cp -ax | than rsync | than partclone | of its copy |\n|---|---|---|---|---|---|---|---|---|---|---|\n", k.source, k.fs)
			for _, in := range r.order {
				if in.fs == k.fs && in.source == k.source {
					r.row(&b, in)
				}
			}
		}
		last = k
	}
	return b.String()
}

func (r *results) row(b *strings.Builder, k key) {
	all := r.all[k]
	ss := quietest(all)
	v := values(ss, wall)
	m := median(v)
	cp, rs, pc, of := ratio(r.wall(k.fs, k.source, "cp -ax"), m), ratio(r.wall(k.fs, k.source, "rsync -aHAXSx"), m), ratio(r.wall(k.fs, k.source, "partclone"), m), ""
	if copied, ok := strings.CutSuffix(k.engine, " verify"); ok {
		cp, rs, pc, of = "", "", "", ratio(m, r.wall(k.fs, k.source, copied))
	} else if k.engine == "raw read" {
		cp, rs, pc = "", "", ""
	} else if k.engine == "- its verification" {
		cp, rs, pc, of = "", "", "", ratio(m, r.wall(k.fs, k.source, "- its copying"))
	}
	fmt.Fprintf(b, "| %s | %d of %d | %.2f (%.2f-%.2f) | %.2f | %.2f | %.0f %% | %.0f | %s | %s | %s | %s |\n", k.engine, len(ss), len(all), m, v[0], v[len(v)-1],
		median(values(ss, func(s sample) float64 { return s.cpu })), median(values(ss, func(s sample) float64 { return s.machine })),
		100*median(values(ss, func(s sample) float64 { return s.others })), median(values(ss, func(s sample) float64 { return float64(s.memory) / (1 << 20) })), cp, rs, pc, of)
}

// machine describes it without its name.
func machine() string {
	cpu, mem := runtime.GOARCH, ""
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			cpu = strings.TrimSpace(v)
			break
		}
	}
	info, _ = os.ReadFile("/proc/meminfo")
	if f := strings.Fields(string(info)); len(f) > 1 {
		var kib int64
		_, _ = fmt.Sscan(f[1], &kib)
		mem = fmt.Sprintf(", %d GiB of memory", kib>>20)
	}
	kernel, _ := exec.Command("uname", "-r").Output()
	if virtual, err := exec.Command("systemd-detect-virt").Output(); err == nil {
		mem += ", virtual (" + strings.TrimSpace(string(virtual)) + ")"
	}
	return fmt.Sprintf("%d CPUs (%s)%s, Linux %s, loop devices with direct I/O", runtime.NumCPU(), cpu, mem, strings.TrimSpace(string(kernel)))
}

const beginMark, endMark = "<!-- figures: make bench writes from here -->\n", "<!-- to here -->\n"

// insert replaces what is between the marks.
func insert(file, text string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(b), beginMark)
	_, tail, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return fmt.Errorf("%s: the marks %q and %q are not there", file, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return os.WriteFile(file, []byte(head+beginMark+text+endMark+tail), 0o644)
}
