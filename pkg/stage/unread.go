package stage

import (
	"context"
	"encoding/json"

	"migrate-init/pkg/copy"
)

// tellUnread lists, under a policy that goes on, what could not be read: all of it on the consoles, and in the journal as
// long as that has room to spare. The record that the part is done has as much of the list as fits a slot.
func (e *Env) tellUnread(ctx context.Context, stage, key, mount string, c copy.Counts) {
	if c.Unread == 0 {
		return
	}
	e.tell(stage, "warning: %s: %d places could not be read and are missing from the copy", mount, c.Unread)
	for _, s := range c.Skipped {
		e.tell(stage, "warning: %s: %s", mount, s)
	}
	if more := c.Unread - int64(len(c.Skipped)); more > 0 {
		e.tell(stage, "warning: %s: and %d more", mount, more)
	}
	if e.journal == "" {
		return
	}
	for _, list := range splitForSlots(c.Skipped)[min(1, len(c.Skipped)):] {
		if e.size/slotSize-int64(len(e.records)) <= noteSpare {
			e.tell(stage, "the journal has no room for the whole list")
			return
		}
		if err := e.Record(ctx, Record{Stage: key, Event: Note, Text: "could not be read, too", Facts: map[string]string{"skipped": list}}); err != nil {
			e.tell(stage, "the list could not be written to the journal: %v", err)
			return
		}
	}
}

// splitForSlots joins lines to texts, each of which fits a record beside its other fields.
func splitForSlots(lines []string) (texts []string) {
	const room = maxPayload - 1024
	left := 0
	for _, l := range lines {
		b, err := json.Marshal(l)
		n := len(b)
		if err != nil {
			n = room
		}
		if i := len(texts) - 1; i >= 0 && n <= left {
			texts[i] += "\n" + l
			left -= n
			continue
		}
		texts, left = append(texts, l), room-n
	}
	return texts
}
