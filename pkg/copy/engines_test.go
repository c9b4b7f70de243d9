package copy

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"migrate-init/pkg/extent"
)

// TestCheckpointOfBadDisk: a disk with many unreadable places is copied to its end; a checkpoint that would not fit its
// slot is left out, and the largest that is kept does fit.
func TestCheckpointOfBadDisk(t *testing.T) {
	full := extent.Checkpoint{Identity: strings.Repeat("f", 32), Windows: math.MaxInt32, Bytes: math.MaxInt64, Sums: make([]extent.Sum, 1000)}
	for range maxListed {
		full.Bad = append(full.Bad, extent.Range{Offset: math.MaxInt64, Length: math.MaxInt64})
	}
	kept, fits := forSlot(full)
	if !fits || len(kept.Bad) != maxListed || kept.First != full.Windows {
		t.Fatalf("kept %t: %+v", fits, kept)
	}
	raw, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 3800 {
		t.Errorf("%d bytes", len(raw))
	}
	full.Bad = append(full.Bad, extent.Range{Offset: 1, Length: 1})
	if _, fits := forSlot(full); fits {
		t.Error("more than fit are kept")
	}
}
