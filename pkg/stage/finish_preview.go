package stage

// later is an effect that depends on what an earlier one makes, and is therefore told in words by a dry run.
type later string

func (l later) String() string { return string(l) }

// Writes returns nil: nothing carries it out.
func (later) Writes() []string { return nil }
