package copy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"migrate-init/pkg/crew"
)

// The kinds of disk, as the command line names them. Heads that move want one reader who goes in the order of the disk;
// flash, and whatever serves many reads at once, wants many readers.
const (
	DiskAuto  = "auto"
	DiskFlash = "flash"
	DiskHeads = "heads"
)

// Reads is what direct reads at random places of a disk took.
type Reads struct {
	Alone    []time.Duration // one after the other
	Together time.Duration   // each of those that were made several at once took so much of the time; 0: none were made
}

// Direct is a disk that is read past the page cache.
type Direct interface {
	Touch(off int64) error
	Size() int64
	Close() error
}

const (
	readsAlone    = 24
	readsTogether = 4 // for each of atOnce
	atOnce        = 8
	fewest        = 6 // below that many there is no judgement
	// enough ends the reads one after the other; those at once take a part of it.
	enough = 500 * time.Millisecond
	// slow is more than flash needs for a read, even behind a network, and less than heads need to get anywhere.
	slow = 2 * time.Millisecond
	// gain is how much faster several reads at once are on what has no heads, at least. Heads that may choose the order
	// of a few reads gain less than a factor of two.
	gain = 3
)

// MeasureDisk reads a disk at random places, for well under a second. What cannot be read is passed over.
func MeasureDisk(ctx context.Context, d Direct) (Reads, error) {
	place := func() int64 { return rand.Int64N(max(1, d.Size())) }
	// The first read may wake the disk.
	if err := d.Touch(place()); err != nil {
		return Reads{}, err
	}
	var r Reads
	var failed error
	for begin := time.Now(); len(r.Alone) < readsAlone && (time.Since(begin) < enough || len(r.Alone) < fewest); {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		at := time.Now()
		if err := d.Touch(place()); err != nil {
			if failed != nil {
				return r, errors.Join(failed, err) // a disk that fails is not asked again and again
			}
			failed = err
			continue
		}
		r.Alone = append(r.Alone, time.Since(at))
	}
	if upper(r.Alone) < slow {
		return r, nil
	}
	begin, wg := time.Now(), crew.New()
	for range atOnce {
		wg.Go(func() {
			for range readsTogether {
				_ = d.Touch(place()) // the time counts, and what reads are good for the copy says
			}
		})
	}
	wg.Wait()
	r.Together = time.Since(begin) / (atOnce * readsTogether)
	return r, nil
}

// upper is the upper quartile: of a disk that is made by need a part of the places was never written, and answers at once.
func upper(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(d))[len(d)*3/4]
}

// Heads reports whether the reads are those of heads that move, and says why.
func (r Reads) Heads() (heads bool, why string) {
	each := upper(r.Alone)
	text := fmt.Sprintf("%d direct reads at random places, three of four within %s", len(r.Alone), rounded(each))
	if each < slow || r.Together == 0 {
		return false, text
	}
	faster := float64(mean(r.Alone)) / float64(max(1, r.Together))
	return faster < gain, fmt.Sprintf("%s; %d at once are %.1f times as fast", text, atOnce, faster)
}

func mean(d []time.Duration) time.Duration {
	var sum time.Duration
	for _, x := range d {
		sum += x
	}
	return sum / time.Duration(max(1, len(d)))
}

func rounded(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(100 * time.Microsecond)
}

// Disk is a device that a copy reads or writes.
type Disk struct {
	Path       string
	Rotational bool // by the kernel's flag, which says so of most virtual disks, whatever they are made of
}

// Judge decides how a copy between disks works, and says of each why. kind is DiskAuto, or what the operator knows.
func Judge(ctx context.Context, kind string, open func(path string) (Direct, error), disks ...Disk) (heads bool, why []string) {
	if kind == DiskHeads || kind == DiskFlash {
		return kind == DiskHeads, []string{"disks: " + kind + ", as --disk-kind says"}
	}
	for i, d := range disks {
		if slices.Contains(disks[:i], d) || d.Path == "" {
			continue
		}
		h, text := judge(ctx, open, d)
		heads = heads || h
		word := DiskFlash
		if h {
			word = DiskHeads
		}
		why = append(why, fmt.Sprintf("disk %s: %s: %s", d.Path, word, text))
	}
	return heads, why
}

func judge(ctx context.Context, open func(path string) (Direct, error), d Disk) (bool, string) {
	flag := func(err error) (bool, string) {
		return d.Rotational, fmt.Sprintf("by the kernel's flag, because it could not be measured (%v)", err)
	}
	r, err := open(d.Path)
	if err != nil {
		return flag(err)
	}
	defer r.Close()
	reads, err := MeasureDisk(ctx, r)
	if err != nil {
		return flag(err)
	}
	return reads.Heads()
}
