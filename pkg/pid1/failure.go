package pid1

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/stage"
)

// releaseTime bounds how long a failed mode releases mounts and arrays before the reset.
const releaseTime = 30 * time.Second

// noJournal is the outlook while nothing was written.
const noJournal = "nothing was committed: the next boot is the old system, unchanged; the target has no journal yet, so the reason is shown only on the consoles"

// aboutReport says what the block of lines above it is for.
const aboutReport = "the block above is the whole report; in a log of this console, such as a provider's, `migrate-init report --decode LOG` reads it"

// recovered treats a panic like any other failure: reported, journalled, and followed by the policy.
func (p *Init) recovered(ctx context.Context) {
	r := recover()
	if r == nil {
		return
	}
	p.Consoles.Say("panic: %v\n%s", r, debug.Stack())
	if p.failing {
		return // giveUp itself panicked
	}
	if p.job.journal != nil {
		if err := p.job.journal(ctx, fmt.Sprint("panic: ", r)); err != nil {
			p.Consoles.Say("%v", err)
		}
	}
	p.report(fmt.Errorf("panic: %v", r))
	p.giveUp(ctx)
}

// report says why the run ends here, and what the next boot will be. Where no journal keeps the reason, the consoles get
// all that is known, in a form that can be read back from a log of theirs; what a person reads comes last.
func (p *Init) report(err error) {
	if p.job.kept == nil || !p.job.kept() {
		p.print(err)
	}
	p.Consoles.Say("FAILED: %v", err)
	outlook := noJournal
	if p.job.outlook != nil {
		outlook = p.job.outlook()
	}
	p.Consoles.Say("%s", outlook)
}

// print prints the report of a failure as a block of lines.
func (p *Init) print(err error) {
	r := stage.ConsoleReport{Version: p.Version, Time: p.Consoles.Now().UTC().Format(time.RFC3339), Error: err.Error(), Said: p.Consoles.Said()}
	if p.image.Plan != nil {
		r.Plan = p.image.ID
	}
	if line, err := p.read("/proc/cmdline"); err == nil {
		r.Cmdline = strings.TrimSpace(string(line))
	}
	if p.job.facts != nil {
		r.Facts = p.job.facts()
	}
	lines, rerr := r.Lines()
	if rerr != nil {
		p.Consoles.Say("%v", rerr)
		return
	}
	p.Consoles.Block(lines)
	p.Consoles.Say("%s", aboutReport)
}

// giveUp carries out the policy for failures.
func (p *Init) giveUp(ctx context.Context) {
	p.failing = true
	seen := false
	if p.policy.OnFailure == "shell" {
		p.Consoles.Say("policy: a shell on every console; leaving one reboots")
		err := p.Shell(ctx)
		if err != nil {
			p.Consoles.Say("shell: %v", err)
		}
		seen = err == nil
	}
	p.release(ctx)
	how := "reboot"
	if p.policy.OnFailure == "poweroff" {
		how = "poweroff"
	}
	p.Consoles.Say("policy: %s", how)
	if !seen {
		p.HoldScreen(ctx)
	}
	if _, err := p.Machine.Do(ctx, machine.Reboot{How: how}); err != nil {
		p.Consoles.Say("%s: %v", how, err)
	}
}

// release lets the mode release what it holds. A disk that hangs must not keep the machine from coming back: whatever
// cannot be released in time is reset.
func (p *Init) release(ctx context.Context) {
	if p.job.release == nil {
		return
	}
	ctx, done := context.WithTimeout(ctx, releaseTime)
	defer done()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer func() {
			if r := recover(); r != nil {
				p.Consoles.Say("cleanup: panic: %v", r)
			}
		}()
		p.job.release(ctx)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
		p.Consoles.Say("cleanup: timed out after %s; resetting anyway", releaseTime)
	}
}
