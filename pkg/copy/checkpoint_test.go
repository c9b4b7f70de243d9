package copy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"migrate-init/pkg/extent"
)

// medium is a device in memory.
type medium []byte

func (m medium) ReadAt(b []byte, off int64) (int, error) { return bytes.NewReader(m).ReadAt(b, off) }

func (m medium) on(s Slots) *Checkpoints {
	return &Checkpoints{Slots: s, Write: func(_ context.Context, _ Checkpoint, at int64, slot []byte) error {
		copy(m[at:], slot)
		return nil
	}}
}

// TestSlotRoundTrip checks that a slot decodes to its payload, but not with another mark or salt, nor after a byte has changed.
func TestSlotRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload, salt := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "payload"), rapid.String().Draw(t, "salt")
		b, err := EncodeSlot("MARK", salt, payload, 128)
		if len(payload) > 128-SlotHeader {
			if !errors.Is(err, errSlotTooSmall) {
				t.Fatal(err)
			}
			return
		}
		got, ok := DecodeSlot("MARK", salt, b)
		if err != nil || !ok || !bytes.Equal(got, payload) || len(b) != 128 {
			t.Fatalf("%q, %v, %v", got, ok, err)
		}
		if _, ok := DecodeSlot("MARQ", salt, b); ok {
			t.Error("it decodes with another mark")
		}
		if _, ok := DecodeSlot("MARK", salt+"x", b); ok {
			t.Error("it decodes with another salt")
		}
		b[rapid.IntRange(0, SlotHeader+len(payload)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, ok := DecodeSlot("MARK", salt, b); ok {
			t.Error("it decodes after a change")
		}
	})
	if _, ok := DecodeSlot("MARK", "", []byte("MARK")); ok {
		t.Error("a short slot decodes")
	}
}

// TestCheckpointTorn checks that Read returns the newest checkpoint after each write, and the previous one if the write was torn.
func TestCheckpointTorn(t *testing.T) {
	m, s := make(medium, 1000), Slots{At: [2]int64{0, 500}, Size: 400, Salt: "plan"}
	k := m.on(s)
	for i := range 7 {
		before := bytes.Clone(m)
		if err := k.Save(t.Context(), Checkpoint{Key: "k", Stamp: "s", Data: []byte{'0' + byte(i)}}); err != nil {
			t.Fatal(err)
		}
		last, err := s.Read(m)
		if err != nil || last == nil || string(last.Data) != string('0'+rune(i)) || last.N != k.Last.N {
			t.Fatalf("after %d: %+v, %v", i, last, err)
		}
		torn := bytes.Clone(m)
		copy(torn[s.At[last.N%2]+20:], before[s.At[last.N%2]+20:]) // the first bytes are new, the rest is old
		switch last, err = s.Read(medium(torn)); {
		case err != nil:
			t.Fatal(err)
		case i == 0 && last != nil, i > 0 && (last == nil || string(last.Data) != string('0'+rune(i-1))):
			t.Errorf("write %d torn: %+v", i, last)
		}
	}
	if last, err := (Slots{At: s.At, Size: s.Size, Salt: "another plan"}).Read(m); last != nil || err != nil {
		t.Errorf("of another plan: %+v, %v", last, err)
	}
	if last, err := s.Read(m[:100]); last != nil || err != nil {
		t.Errorf("a medium that is too short: %+v, %v", last, err)
	}
	if _, err := s.Read(broken{}); !errors.Is(err, errBroken) {
		t.Errorf("a medium that cannot be read: %v", err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errBroken }

// TestAttach checks that a job resumes only from a checkpoint of the same copy and the same state of its source that was not
// invalidated.
func TestAttach(t *testing.T) {
	m, s := make(medium, 1000), Slots{At: [2]int64{0, 500}, Size: 400}
	of := Checkpoint{Key: "copy:a", Stamp: "mounts 5", Source: "/dev/x"}
	var j Job
	k := m.on(s)
	k.Attach(t.Context(), &j, of)
	if j.Resume != nil {
		t.Fatalf("nothing was saved, and %s", j.Resume)
	}
	if err := j.Checkpoint(extent.Checkpoint{Windows: 3}); err != nil {
		t.Fatal(err)
	}
	resumes := func(of Checkpoint) string {
		var j Job
		k := m.on(s)
		var err error
		if k.Last, err = s.Read(m); err != nil {
			t.Fatal(err)
		}
		k.Attach(t.Context(), &j, of)
		return string(j.Resume)
	}
	if got := resumes(of); !strings.Contains(got, `"windows":3`) {
		t.Errorf("resumes from %q", got)
	}
	for _, other := range []Checkpoint{{Key: "copy:b", Stamp: of.Stamp}, {Key: of.Key, Stamp: "mounts 6"}} {
		if got := resumes(other); got != "" {
			t.Errorf("%+v resumes from %s", other, got)
		}
	}
	if err := k.Invalidate(t.Context(), of); err != nil {
		t.Fatal(err)
	}
	if got := resumes(of); got != "" {
		t.Errorf("voided, and resumes from %s", got)
	}
	clear(m[s.At[k.Last.N%2]:][:s.Size])
	if last, err := s.Read(m); err != nil || last == nil || last.resumable() {
		t.Errorf("voided, and the newest slot is gone: %+v, %v", last, err)
	}
}

// TestCheckpointOfBadDisk checks that a disk with many unreadable ranges is copied to its end. A checkpoint that does not fit
// its slot is not written, and the previous one stays valid.
func TestCheckpointOfBadDisk(t *testing.T) {
	const id = "11111111-2222-4333-8444-555555555555"
	bad := func(n int) (c extent.Checkpoint) {
		c = extent.Checkpoint{Identity: strings.Repeat("f", 32), Windows: math.MaxInt32, First: math.MaxInt32, Bytes: math.MaxInt64}
		for range n {
			c.Bad = append(c.Bad, extent.Range{Offset: math.MaxInt64, Length: math.MaxInt64})
		}
		return c
	}
	for _, tt := range []struct {
		slots Slots
		of    Checkpoint
		fits  int
	}{
		{Slots{At: [2]int64{0, 4096}, Size: 4096, Salt: id}, Checkpoint{Key: "copy:" + id, Stamp: "mounts 65535, mounted 4294967295, written 4294967295, KiB 18446744073709551615; 99"}, 50},
		{deviceSlots(), Checkpoint{Key: id, Stamp: strings.Repeat("f", 32), Source: "/dev/" + strings.Repeat("x", 60)}, 8},
	} {
		m := make(medium, 8192)
		k := m.on(tt.slots)
		k.Last = &Checkpoint{N: math.MaxUint64 - 10}
		var j Job
		k.Attach(t.Context(), &j, tt.of)
		if err := errors.Join(j.Checkpoint(bad(tt.fits)), j.Checkpoint(bad(1000))); err != nil {
			t.Fatal(err)
		}
		last, err := tt.slots.Read(io.NewSectionReader(m, 0, 8192))
		if err != nil || last == nil || strings.Count(string(last.Data), "offset") != tt.fits {
			t.Errorf("slots of %d: %+v, %v", tt.slots.Size, last, err)
		}
	}
}
