package plan

import (
	"testing"

	"pgregory.net/rapid"
)

// The member that an array asks for is the smallest that is enough. (That the sizes are those of the superblocks is a test
// of the room that writes them.)
func TestLeastMember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := MD{Level: rapid.SampledFrom([]int{1, 5, 6, 10}).Draw(t, "level"), Metadata: rapid.SampledFrom([]string{"0.90", "1.0", "1.1", "1.2"}).Draw(t, "metadata")}
		if a.Level != 1 {
			a.Chunk = 4 * kib << rapid.IntRange(0, 9).Draw(t, "chunk")
		}
		members := rapid.IntRange(4, 9).Draw(t, "members")
		n := rapid.Int64Range(1, 1<<42).Draw(t, "data")
		size := a.member(members, n)
		if size%mib != 0 || a.data(members, size) < n {
			t.Fatalf("%+v: %d members of %d do not hold %d", a, members, size, n)
		}
		if size > mib && a.data(members, size-mib) >= n {
			t.Fatalf("%+v: %d members of %d hold %d already", a, members, size-mib, n)
		}
	})
}
