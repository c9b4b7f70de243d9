package plan_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// created is how many bytes an array that md.New makes offers, of whole members of a size.
func created(t *rapid.T, a plan.MD, members int, size int64) int64 {
	spec := md.Spec{Version: md.Version(a.Metadata), UUID: md.UUID{1}, Level: a.Level, RaidDisks: members, Chunk: a.Chunk, Bitmap: a.Bitmap, CTime: time.Unix(1700000000, 0)}
	for i := range members {
		spec.Members = append(spec.Members, md.MemberSpec{Size: size, DeviceUUID: md.UUID{2, byte(i)}})
	}
	images, err := md.New(spec)
	if err != nil {
		t.Fatalf("%+v, %d members of %d: %v", a, members, size, err)
	}
	c, chunk := images[0].Super.Size, images[0].Super.ChunkSize
	switch a.Level {
	case 1:
		return c
	case 5:
		return c * int64(members-1)
	case 6:
		return c * int64(members-2)
	}
	return c / chunk * int64(members) / 2 * chunk
}

// What a plan says of an array's size is what the superblocks will say, for every version and level; and the member that it
// asks for is the smallest that is enough.
func TestSizesAreThoseOfTheSuperblocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := plan.MD{Level: rapid.SampledFrom([]int{1, 5, 6, 10}).Draw(t, "level"), Metadata: rapid.SampledFrom([]string{"0.90", "1.0", "1.1", "1.2"}).Draw(t, "metadata"), Bitmap: rapid.Bool().Draw(t, "bitmap")}
		if a.Level != 1 {
			a.Chunk = int64(4<<10) << rapid.IntRange(0, 9).Draw(t, "chunk")
		}
		members := rapid.IntRange(4, 9).Draw(t, "members")
		// Around the steps of the headroom, too; 0.90 ends at 4 TiB.
		at := int64(1)<<rapid.IntRange(24, 41).Draw(t, "power") + rapid.Int64Range(-3<<20, 3<<20).Draw(t, "around")/512*512
		if want, got := created(t, a, members, at), a.Data(members, at); got != want {
			t.Fatalf("%+v, %d members of %d: planned %d, made %d", a, members, at, got, want)
		}
		n := rapid.Int64Range(16<<20, 1<<41).Draw(t, "data")
		size := a.Member(members, n)
		if size%(1<<20) != 0 || created(t, a, members, size) < n {
			t.Fatalf("%+v: %d members of %d do not hold %d", a, members, size, n)
		}
		if least := size - 1<<20; least > 16<<20 && a.Data(members, least) >= n {
			t.Fatalf("%+v: %d members of %d hold %d already", a, members, least, n)
		}
	})
}
