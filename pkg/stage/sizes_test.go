package stage

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// What a plan says of an array's size is what the superblocks will say, for every version and level.
func TestSizesAreThoseOfTheSuperblocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &plan.MD{Level: rapid.SampledFrom([]int{1, 5, 6, 10}).Draw(t, "level"), Metadata: rapid.SampledFrom([]string{"0.90", "1.0", "1.1", "1.2"}).Draw(t, "metadata"), Bitmap: rapid.Bool().Draw(t, "bitmap")}
		if a.Level != 1 {
			a.Chunk = int64(4<<10) << rapid.IntRange(0, 9).Draw(t, "chunk")
		}
		// Around the steps of the headroom, too; 0.90 ends at 4 TiB.
		size := int64(1)<<rapid.IntRange(24, 41).Draw(t, "power") + rapid.Int64Range(-3<<20, 3<<20).Draw(t, "around")/512*512
		n := plan.Node{Ref: "md:00000001:00000002:00000003:00000004", Layer: plan.Layer{MD: a}}
		g, sizes := plan.Graph{}, []int64{}
		for i := range rapid.IntRange(4, 9).Draw(t, "members") {
			part := plan.Node{Ref: plan.Ref(fmt.Sprint("part:", i)), Size: size, Layer: plan.Layer{Part: &plan.Part{}}}
			g, n.On, sizes = append(g, part), append(n.On, part.Ref), append(sizes, size)
			a.Devices = append(a.Devices, fmt.Sprintf("00000009:00000008:00000007:%08d", i))
		}
		g = append(g, n)
		spec, err := specOf(&n, time.Unix(1700000000, 0), sizes)
		if err != nil {
			t.Fatal(err)
		}
		images, err := md.New(spec)
		if err != nil {
			t.Fatalf("%+v, %d members of %d: %v", a, len(n.On), size, err)
		}
		s, members := images[0].Super, int64(len(n.On))
		made := map[int]int64{1: s.Size, 5: s.Size * (members - 1), 6: s.Size * (members - 2)}[a.Level]
		if a.Level == 10 {
			made = s.Size / s.ChunkSize * members / 2 * s.ChunkSize
		}
		if got := g.Room(n.Ref); got != made || s.ChunkSize != a.Chunk {
			t.Fatalf("%+v, %d members of %d: planned %d, made %d", a, members, size, got, made)
		}
	})
}
