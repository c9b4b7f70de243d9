package pace

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// tick is the progress at a number of seconds after the start, and the expected figures.
type tick struct {
	at           float64
	bytes, names int64
	rate         float64
	eta          time.Duration
}

// TestAt checks that the rate is that of the last ten seconds, not of the whole operation. After a stall of ten seconds there
// is neither a rate nor an ETA.
func TestAt(t *testing.T) {
	const name = nameCost
	for title, c := range map[string]struct {
		bytes, names int64
		ticks        []tick
	}{
		"steady":             {1000, 0, []tick{{2, 20, 0, 10, 98 * time.Second}, {30, 300, 0, 10, 70 * time.Second}, {31, 310, 0, 10, 69 * time.Second}}},
		"a stall":            {1000, 0, []tick{{5, 50, 0, 10, 95 * time.Second}, {10, 100, 0, 10, 90 * time.Second}, {14, 100, 0, 100.0 / 14, 126 * time.Second}, {19, 100, 0, 50.0 / 14, 252 * time.Second}, {20, 100, 0, 0, 0}, {30, 100, 0, 0, 0}, {31, 110, 0, 10.0 / 11, 979 * time.Second}}},
		"faster":             {10_000, 0, []tick{{10, 100, 0, 10, 990 * time.Second}, {20, 2100, 0, 200, 39500 * time.Millisecond}, {25, 3100, 0, 3000.0 / 15, 34500 * time.Millisecond}}},
		"the first moments":  {1000, 0, []tick{{0, 0, 0, 0, 0}, {0.2, 100, 0, 0, 0}, {0.9, 400, 0, 0, 0}, {1, 500, 0, 500, 0}, {1.9, 900, 0, 900 / 1.9, 0}}},
		"a slow start":       {1000 * name, 0, []tick{{3, 5, 0, 5.0 / 3, 0}, {9, 9 * name, 0, name, 0}, {10, 10 * name, 0, name, 990 * time.Second}}},
		"less than a second": {1000, 0, []tick{{10, 990, 0, 99, time.Second}, {11, 999, 0, 999.0 / 11, time.Second}}},
		"total reached":      {1000, 0, []tick{{10, 1000, 0, 100, 0}, {11, 1000, 0, 1000.0 / 11, 0}}},
		"only names":         {0, 100, []tick{{5, 0, 20, 0, 20 * time.Second}, {15, 0, 60, 0, 10 * time.Second}}},
		"names and bytes":    {100 * name, 100, []tick{{10, 50 * name, 50, 5 * name, 10 * time.Second}, {20, 50 * name, 100, 0, 10 * time.Second}}},
		"small files first":  {1000 * name, 1000, []tick{{10, name, 500, name / 10.0, 10 * (2000 - 501) * time.Second / 501}}},
		"no totals":          {0, 0, []tick{{10, 100, 1, 10, 0}}},
		"bytes exceeded":     {100, 10, []tick{{10, 150, 1, 15, 90 * time.Second}}},
		"totals exceeded":    {100, 10, []tick{{10, 150, 12, 15, 0}, {20, 300, 20, 15, 0}}},
		"too long":           {math.MaxInt64 / 2, 0, []tick{{20, 1, 0, 0.05, 0}}},
	} {
		t.Run(title, func(t *testing.T) {
			begin := time.Unix(1000, 0)
			p := New(begin, c.bytes, c.names)
			for _, k := range c.ticks {
				f := p.At(begin.Add(time.Duration(k.at*float64(time.Second))), k.bytes, k.names)
				if math.Abs(f.Rate-k.rate) > 1e-6 || (f.ETA-k.eta).Abs() > time.Millisecond || f.Bytes != k.bytes || f.Names != k.names {
					t.Errorf("at %v s: %+v; want %v bytes a second, %v left", k.at, f, k.rate, k.eta)
				}
			}
		})
	}
}

// TestGuarantees checks the guarantees of the package comment on random operations.
func TestGuarantees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total, names := rapid.Int64Range(0, 1<<40).Draw(t, "total"), rapid.Int64Range(0, 1<<24).Draw(t, "names")
		begin := time.Unix(1000, 0)
		p, now := New(begin, total, names), begin
		var was Figures
		for range rapid.IntRange(1, 60).Draw(t, "ticks") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "wait")))
			bytes, n := was.Bytes+rapid.Int64Range(0, 1<<35).Draw(t, "bytes"), was.Names+rapid.Int64Range(0, 1<<16).Draw(t, "files")
			f := p.At(now, bytes, n)
			switch {
			case f.TotalBytes != 0 && f.TotalBytes != total || f.TotalNames != 0 && f.TotalNames != names:
				t.Fatalf("invented total: %+v", f)
			case f.TotalBytes != 0 && f.Bytes > f.TotalBytes || f.TotalNames != 0 && f.Names > f.TotalNames:
				t.Fatalf("exceeded total is still reported: %+v", f)
			case was.Bytes > 0 && was.TotalBytes == 0 && f.TotalBytes != 0:
				t.Fatalf("dropped total is back: %+v", f)
			case f.Rate < 0 || math.IsNaN(f.Rate) || math.IsInf(f.Rate, 0):
				t.Fatalf("rate: %+v", f)
			case f.ETA != 0 && (f.ETA < time.Second || now.Sub(begin) < minETATime):
				t.Fatalf("after %v: %+v", now.Sub(begin), f)
			case f.ETA != 0 && f.TotalBytes == 0 && f.TotalNames == 0:
				t.Fatalf("ETA without a total: %+v", f)
			}
			was = f
		}
	})
}

// TestSteady checks that the ETA of steady work is right from the first one on, and that there is one during the second half.
func TestSteady(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secs := rapid.IntRange(5, 2000).Draw(t, "secs")
		total, names := rapid.Int64Range(1<<24, 1<<40).Draw(t, "total"), rapid.Int64Range(10_000, 1<<20).Draw(t, "names")
		begin := time.Unix(1000, 0)
		p := New(begin, total, names)
		for q := 1; q < 4*secs; q++ {
			now, part := begin.Add(time.Duration(q)*time.Second/4), float64(q)/float64(4*secs)
			f := p.At(now, int64(part*float64(total)), int64(part*float64(names)))
			want := float64(4*secs-q) / 4
			if f.ETA != 0 && math.Abs(f.ETA.Seconds()-max(1, want)) > 0.05*want+0.3 || f.ETA == 0 && 2*q > 4*secs {
				t.Fatalf("after %v of %d s: %v left, want %.1f s", now.Sub(begin), secs, f.ETA, want)
			}
			if len(p.marks) > 45 {
				t.Fatalf("%d marks kept", len(p.marks))
			}
		}
	})
}

// TestSkip checks that what an earlier run did counts as done, but does not raise the rate.
func TestSkip(t *testing.T) {
	begin := time.Unix(1000, 0)
	p := New(begin, 1000, 0)
	p.Skip(500, 0)
	if f := p.At(begin.Add(5*time.Second), 550, 0); f.Rate != 10 || f.ETA != 45*time.Second {
		t.Errorf("%+v, want 10 bytes a second and 45 s", f)
	}
	p.Skip(100, 0)
	if f := p.At(begin.Add(10*time.Second), 700, 0); f.Rate != 10 || f.ETA != 30*time.Second {
		t.Errorf("%+v, want 10 bytes a second and 30 s", f)
	}
}
