package machine

import (
	"slices"
	"strings"
	"testing"
)

func TestDiffPartsTouchesOnlyWhatDiffers(t *testing.T) {
	have := []Extent{{3, 3000, 10}, {1, 1000, 10}, {2, 2000, 10}}
	want := []Extent{{4, 4000, 10}, {1, 1000, 10}, {2, 2000, 20}}
	del, add := diffParts(have, want)
	if !slices.Equal(del, []Extent{{2, 2000, 10}, {3, 3000, 10}}) || !slices.Equal(add, []Extent{{2, 2000, 20}, {4, 4000, 10}}) {
		t.Errorf("removes %v, adds %v", del, add)
	}
	if del, add := diffParts(want, want); len(del)+len(add) != 0 {
		t.Errorf("equal tables: removes %v, adds %v", del, add)
	}
}

func TestCheckPartsRefuses(t *testing.T) {
	const size = 1 << 20
	for reason, parts := range map[string][]Extent{
		"out of range":      {{0, 512, 512}},
		"used twice":        {{1, 512, 512}, {1, 2048, 512}},
		"not whole sectors": {{1, 511, 512}},
		"overlap":           {{2, 4096, 512}, {1, 512, 8192}},
		"lie outside":       {{1, size - 512, 1024}},
	} {
		err := checkParts("/dev/x", size, parts)
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%v: %v, want %q", parts, err, reason)
		}
	}
	if err := checkParts("/dev/x", size, nil); err != nil {
		t.Error(err)
	}
	if err := checkParts("/dev/x", size, []Extent{{9, 1 << 60, 1 << 62}}); err == nil {
		t.Error("sizes that overflow were accepted")
	}
	if err := checkParts("/dev/x", size, []Extent{{1, 512, 512}, {2, 1024, size - 1024}}); err != nil {
		t.Error(err)
	}
}

func TestCheckChunksStayInside(t *testing.T) {
	const size = 4096
	for _, c := range []Chunk{
		{Offset: -1, Zero: 1}, {Zero: -1}, {Offset: 4096, Data: []byte("x")}, {Offset: 4095, Zero: 2},
		{Offset: 5000}, {Offset: 1 << 62, Zero: 1 << 62}, {Data: []byte("x"), Zero: 1},
	} {
		if err := checkChunks("/dev/x", size, []Chunk{{Zero: 1}, c}); err == nil || !strings.Contains(err.Error(), "chunk 1") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := checkChunks("/dev/x", size, []Chunk{{Zero: 4096}, {Offset: 4096}, {Offset: 4095, Data: []byte("x")}}); err != nil {
		t.Error(err)
	}
}
