package plan

import "fmt"

// BlockOn finds the disk, and the place on it, of the partition whose block says what boots once. The disk need not have its
// planned table yet. It is an error if the plan has no such partition, or the disk is not there.
func (p *Plan) BlockOn(f *Facts) (disk *Device, part *Node, err error) {
	part = p.Target.Node(p.Boot.Block)
	if part == nil {
		return nil, nil, fmt.Errorf("plan %s: it has no boot block", p.ID)
	}
	n := p.Target.Node(part.Lower())
	if disk, err = f.Disk(n); err != nil {
		return nil, nil, err
	}
	if disk == nil {
		return nil, nil, fmt.Errorf("target disk %s: no disk with %s was found", n.Was, n.Identity())
	}
	return disk, part, nil
}

// Most is how often a migration is started in a row. A plan of a version that did not count is started once.
func (p Policy) Most() int { return max(1, p.Attempts) }

// resumes reports whether a power cut is followed by another attempt.
func (p *Plan) resumes() bool { return p.Boot.Block != "" && p.Policy.Most() > 1 }

// untilCommit says what becomes of a migration that stops before its commit.
func (p *Plan) untilCommit() string {
	if !p.resumes() {
		return "a failure or a power cut ends in the old system"
	}
	return fmt.Sprintf("a failure ends in the old system; after a power cut the migration continues, %d attempts at most", p.Policy.Most())
}
