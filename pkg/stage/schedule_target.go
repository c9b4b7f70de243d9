package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// ScheduledTarget is what schedule wrote to a target disk.
type ScheduledTarget struct {
	Sector []byte `json:"sector,omitempty"` // the disk's first sector before; nil for zeros
}

// targetBefore is what cancel has to know of the target disk; nil where nothing is written to it.
func targetBefore(p *plan.Plan, f *plan.Facts, open func(string) (survey.Device, error)) (*ScheduledTarget, error) {
	if p.Boot.Block == "" || open == nil {
		return nil, nil
	}
	d, part, err := p.BlockOn(f)
	if err != nil {
		return nil, err
	}
	n := p.Target.Node(part.Lower())
	out := &ScheduledTarget{}
	if d.Table != nil || n.Disk.Wipe {
		return out, nil // it is replaced, with the operator's consent
	}
	r, err := open(d.Path)
	if err != nil {
		return nil, fmt.Errorf("target disk %s: %w", d.Path, err)
	}
	defer r.Close()
	b := make([]byte, d.Sector)
	if _, err := r.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("target disk %s: %w", d.Path, err)
	}
	if len(bytes.Trim(b, "\x00")) > 0 {
		out.Sector = b
	}
	return out, nil
}

// scheduleTarget gives the disk with the block its planned table, and the block, which starts nothing yet. What prepare makes
// there later finds the table as planned. It may be cut short and run again.
func (e *Env) scheduleTarget(ctx context.Context) (err error) {
	at, err := e.block()
	if err != nil || at == nil {
		return err
	}
	disk, _, err := e.Plan.BlockOn(e.Facts)
	if err != nil {
		return err
	}
	if err := e.do(ctx, machine.HoldDisk{Dev: disk.Path, On: true}); err != nil {
		return err
	}
	e.held = append(e.held, disk.Path)
	defer func() { err = errors.Join(err, e.release(ctx)) }()
	if err := e.prepareTable(ctx, e.Plan.Target.Node(at.part.Lower())); err != nil {
		return err
	}
	if at, err = e.block(); err != nil {
		return err
	}
	was, err := e.readBlock(at)
	if err != nil {
		return err
	}
	if err := e.writeBlock(ctx, at, loader.Block{Whole: was.Whole}, "boot block: nothing is started yet"); err != nil || e.DryRun {
		return err
	}
	now, err := e.readBlock(at)
	if err == nil && now != (loader.Block{Whole: true}) {
		err = fmt.Errorf("disk %s: the boot block that was written there reads otherwise; the disk may be failing", at.dev)
	}
	return err
}

// clearTarget takes off the target disk what schedule wrote, and only if there is nothing else. stays says why it is left.
func clearTarget(p *plan.Plan, f *plan.Facts, st *Scheduled, rs Records, wait []byte, open func(string) (survey.Device, error)) (effs []machine.Effect, stays string, err error) {
	if st.Target == nil || p == nil || p.ID != st.Plan || p.Boot.Block == "" {
		return nil, "", nil
	}
	d, part, err := p.BlockOn(f)
	if err != nil {
		// Without the old disk's lines it cannot start anything.
		return nil, "it is not connected, so what schedule wrote there stays", nil //nolint:nilerr // said
	}
	want, err := tableOf(p.Target, p.Target.Node(part.Lower()))
	if err != nil {
		return nil, "", fmt.Errorf("target disk %s: %w", d.Path, err)
	}
	if what := others(p, f, d, part, rs); what != "" {
		return nil, fmt.Sprintf("%s keeps what was written there (%s); migrate-init plan --wipe %s allows the next plan to use it", d.Path, what, d.Path), nil
	}
	sector := make([]byte, d.Sector)
	copy(sector, wait)
	writes, err := gpt.Encode(want, d.Size, sector)
	if err != nil {
		return nil, "", fmt.Errorf("target disk %s: %w", d.Path, err)
	}
	eff := machine.WriteDevice{Dev: d.Path, Why: "take off what schedule wrote"}
	switch {
	case alike(d.Table, want):
		// The block goes first: once the table is gone, no one can tell where it was.
		eff.Chunks = append(eff.Chunks, machine.Chunk{Offset: part.Part.Start, Zero: part.Size})
	case d.Table != nil:
		return nil, d.Path + " has another partition table, which is left as it is", nil
	default:
		// The power failed while it was written, or taken off.
		if ours, err := onlyOurs(d, writes, st.Target.Sector, open); err != nil || !ours {
			return nil, d.Path + " holds something that schedule did not write, and is left as it is", err
		}
	}
	for _, w := range writes {
		back := machine.Chunk{Offset: w.Offset, Zero: int64(len(w.Data))}
		if w.Offset == 0 && st.Target.Sector != nil {
			back = machine.Chunk{Data: st.Target.Sector}
		}
		eff.Chunks = append(eff.Chunks, back)
	}
	return []machine.Effect{machine.HoldDisk{Dev: d.Path, On: true}, eff, machine.Partitions{Dev: d.Path}, machine.HoldDisk{Dev: d.Path}}, "", nil
}

// onlyOurs reports whether the places of the table hold nothing but sectors of it, zeros, and the disk's first sector as it was.
func onlyOurs(d *plan.Device, writes []gpt.Write, first []byte, open func(string) (survey.Device, error)) (bool, error) {
	r, err := open(d.Path)
	if err != nil {
		return false, fmt.Errorf("target disk %s: %w", d.Path, err)
	}
	defer r.Close()
	for _, w := range writes {
		b := make([]byte, len(w.Data))
		if _, err := r.ReadAt(b, w.Offset); err != nil {
			return false, fmt.Errorf("target disk %s: %w", d.Path, err)
		}
		for at := 0; at < len(b); at += int(d.Sector) {
			x, ours := b[at:at+int(d.Sector)], w.Data[at:at+int(d.Sector)]
			if len(bytes.Trim(x, "\x00")) > 0 && !bytes.Equal(x, ours) && (w.Offset > 0 || !bytes.Equal(x, first)) {
				return false, nil
			}
		}
	}
	return true, nil
}

// others names what is on the target disk beside what schedule wrote, "" for nothing.
func others(p *plan.Plan, f *plan.Facts, d *plan.Device, block *plan.Node, rs Records) string {
	if len(rs) > 0 {
		return "the journal of the migration, and what it made"
	}
	for _, x := range append(f.Parts(d.Name), d) {
		switch {
		case len(x.MountedAt) > 0:
			return x.Path + " is mounted at " + x.MountedAt[0]
		case len(x.Holders) > 0:
			return x.Path + " is held by " + x.Holders[0]
		case x.Swapping:
			return x.Path + " is in use as swap"
		}
		for _, c := range x.Contents {
			own := x != d && x.Start == block.Part.Start && strings.EqualFold(c.UUID, p.Boot.BlockFS)
			// A table that is half written or half taken off is compared sector by sector.
			half := x == d && (c.Kind == plan.ContentTable || c.Kind == plan.ContentOther)
			if !own && !half {
				return strings.Join(strings.Fields(c.Type+" "+c.UUID+" on "+x.Path), " ")
			}
		}
	}
	return ""
}
