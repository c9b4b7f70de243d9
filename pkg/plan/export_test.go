package plan

// Good and Wish let tests from outside, which may import the made-up machine, begin where those inside do.
func Good() *Facts { return good() }

// Wish is what those tests ask for.
func Wish() Intent { return wish() }

// Data and Member let a test from outside compare them with what writes superblocks.
func (m *MD) Data(members int, n int64) int64   { return m.data(members, n) }
func (m *MD) Member(members int, n int64) int64 { return m.member(members, n) }
