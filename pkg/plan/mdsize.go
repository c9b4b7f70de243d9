package plan

const (
	kib = int64(1) << 10

	// sizeChunk is mdadm's default for the levels that spread data over their members.
	sizeChunk = 512 * kib
)

// An array gives less than its members have. How much less is decided by what writes the superblocks (md.New, which follows
// mdadm's super1.c and super0.c); the same rule stands here because a plan gives every partition its size beforehand. A test
// compares the two.
//
//   - 0.90: the superblock is 64 KiB long and ends on a multiple of 64 KiB.
//   - 1.0: at the end there are 8 KiB for the superblock, 4 KiB for the log of bad blocks, and the space of a bitmap.
//   - 1.1 and 1.2: in front of the data there are 12 KiB for the superblock and the log of bad blocks, the space of a bitmap, and
//     headroom for a later reshape: a thousandth of the member in powers of two, from 128 MiB down; rounded up to whole MiB.
//
// Then data ends at a whole chunk.

// unit is what data ends at a multiple of.
func (m *MD) unit() int64 {
	if m.Chunk > 0 {
		return m.Chunk
	}
	return kib
}

// room is what a member of n bytes has beside the array's own.
func (m *MD) room(n int64) int64 {
	switch m.Metadata {
	case "0.90":
		return max(0, n/(64*kib)*(64*kib)-64*kib)
	case "1.0":
		return max(0, n/(4*kib)*(4*kib)-12*kib-bitmapSpace(n))
	}
	return max(0, n-headOf(n, m.Chunk))
}

// bitmapSpace is what is kept free for a bitmap on a member of n bytes.
func bitmapSpace(n int64) int64 {
	switch {
	case n < 64*kib:
		return 0
	case n-64*kib >= 200<<30:
		return 128 * kib
	case n-4*kib > 8<<30:
		return 64 * kib
	}
	return 4 * kib
}

// headOf is what lies in front of the data of a member of n bytes, with metadata 1.1 and 1.2.
func headOf(n, chunk int64) int64 {
	headroom := 128 * mib
	for headroom<<10 > n && (chunk == 0 || headroom/2 >= 2*chunk) {
		headroom >>= 1
	}
	return (12*kib + bitmapSpace(n) + headroom + mib - 1) / mib * mib
}

// data is how many bytes an array of so many members of n bytes each offers, 0 for a level that is not planned.
func (m *MD) data(members int, n int64) int64 {
	r, ok := raidOf(m.Level)
	if !ok || members < r.least {
		return 0
	}
	return m.room(n) / m.unit() * r.halves(members) / 2 * m.unit()
}

// member is the least number of whole MiB that each member needs, so that the array offers n bytes.
func (m *MD) member(members int, n int64) int64 {
	r, ok := raidOf(m.Level)
	if !ok || members < r.least {
		return n
	}
	up := func(n, unit int64) int64 { return (n + unit - 1) / unit }
	need := up(2*up(n, m.unit()), r.halves(members)) * m.unit()
	// What is kept free never shrinks as a member grows, but it grows in steps, and a larger member may have less data. From
	// below, each step adds what is missing and no more, so the least size is not passed.
	at := up(need, mib) * mib
	for have := m.room(at); have < need; have = m.room(at) {
		at += up(need-have, mib) * mib
	}
	return at
}
