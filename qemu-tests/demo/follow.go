package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// stageTime is how long one stage took, by this machine's clock.
type stageTime struct {
	name    string
	seconds float64
}

// said is a line of the migration on its console: the stage, or nothing, and what it says.
const said = `migrate-init: ([^\r\n]*)\r*\n`

// follower turns the console's lines into stages.
type follower struct {
	stage string
	since time.Time
	now   func() time.Time
	times []stageTime
}

// line takes one line of the migration and returns what to show on the live line; the stage that it ends, if it ends one;
// whether the new system is entered; and an error when the migration says that it failed.
func (f *follower) line(text string) (live string, ended *stageTime, entered bool, err error) {
	stage, rest, ok := strings.Cut(text, ": ")
	switch {
	case stage == "FAILED" || stage == "panic":
		return "", nil, false, fmt.Errorf("the migration says: %s", text)
	case !ok:
		return text, nil, false, nil
	case rest == "begins":
		f.stage, f.since = stage, f.now()
	case rest == "done" && stage == f.stage:
		t := stageTime{stage, f.now().Sub(f.since).Seconds()}
		f.times = append(f.times, t)
		ended = &t
	case stage == "handover" && strings.HasPrefix(rest, "entering"):
		return "", nil, true, nil
	}
	return text, ended, false, nil
}

// follow shows the migration from its first line until the new system is entered.
func (s *story) follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 25*time.Minute)
	defer cancel()
	s.wait("  the machine starts")
	f := &follower{now: time.Now}
	for {
		m, err := s.vm.Console.Expect(ctx, said)
		if err != nil {
			return err
		}
		live, ended, entered, err := f.line(m[1])
		if err != nil {
			return fmt.Errorf("%w\n%s", err, s.vm.Console.Tail(3000))
		}
		if ended != nil {
			s.put(line{answer, fmt.Sprintf("  %-10s %5.1f s", ended.name, ended.seconds), true})
		}
		if entered {
			return nil
		}
		s.wait("  " + live)
	}
}

// summary is the table at the end.
func (s *story) summary() {
	s.next("Before and after")
	row := func(name, before, after string) {
		s.put(line{answer, fmt.Sprintf("  %-22s %-24s %s", name, before, after), true})
	}
	row("", "before", "after")
	row("root", s.before.root, s.after.root)
	row("array", s.before.array, s.after.array)
	row("disks that may fail", s.before.survives, s.after.survives)
	row("boots from", s.before.boots, s.after.boots)
	s.blank()
	s.say("Downtime: %.0f s, of which %.0f s until the new system was entered.", s.down.Seconds(), s.migration.Seconds())
	s.say("`finish` ran for %.0f s on the running system. On real hardware all of it is faster.", s.finish.Seconds())
	s.put(line{remark, "", false})
	for _, text := range []string{
		"Next: read `README.md`, then on your own server `migrate-init inspect`; it changes nothing.",
		"Every file that the run left: " + s.dir,
	} {
		s.put(line{remark, text, false})
	}
}
