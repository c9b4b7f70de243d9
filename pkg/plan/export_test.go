package plan

// Good and Wish let tests from outside, which may import the made-up machine, begin where those inside do.
func Good() *Facts { return good() }

// Wish is what those tests ask for.
func Wish() Intent { return wish() }
