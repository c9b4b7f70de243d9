package stage

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
)

// The journal is a volume of its own (a small partition of the target), so that it exists before any filesystem does,
// can be read by the old system without assembling anything, and outlives a failed copy. It is an array of slots of
// 4096 bytes, each written once and synced before the next:
//
//	slot 0     "MIGRATE-INIT-JOURNAL 1\n" + the plan's id + "\n"
//	last two   checkpoints of a long copy, in turn; see copy.Slots
//	slot 1...  a record: mark "MIJR", payload JSON, salt sequence (u64 LE) and plan id; see copy.EncodeSlot
//
// The sequence is the slot's number. A torn or foreign slot fails its checksum: it ends the journal, and the next
// record overwrites it. The plan's id in the checksum keeps the records of an earlier plan from coming back.
const (
	slotSize   = 4096
	maxPayload = slotSize - copy.SlotHeader
	recordMark = "MIJR"
	headMark   = "MIGRATE-INIT-JOURNAL 1\n"
)

// Kinds of Record.Event.
const (
	Begin  = "begin"
	Done   = "done"
	Failed = "failed"
	Note   = "note"
	Void   = "void" // what was done is taken back: it has to be done again
)

// Record is one entry of the journal.
type Record struct {
	Seq   int               `json:"seq"`
	Time  string            `json:"time"` // RFC 3339, by the machine's clock
	Boot  string            `json:"boot"` // the kernel's boot id: records of one boot belong together
	Up    float64           `json:"up"`   // seconds since that boot
	Stage string            `json:"stage"`
	Event string            `json:"event"`
	Text  string            `json:"text,omitempty"`
	Facts map[string]string `json:"facts,omitempty"`
}

// Records is a journal as read.
type Records []Record

// ErrNoJournal says that a volume holds no journal of the plan.
var ErrNoJournal = errors.New("no journal of this plan")

// ErrJournalFull says that no slot is left.
var ErrJournalFull = errors.New("journal is full; `migrate-init cancel` and make a new plan")

// kept is how many of the last slots a record may not take. A commit that could not be noted, and a finish that cannot begin
// because no slot is left, would be worse than one more try refused; and its reason still fits.
func kept(rec Record) int64 {
	const late = 64
	name, _, _ := strings.Cut(rec.Stage, ":")
	switch row, _ := stageNamed(name); {
	case row.Commits && rec.Event == Begin:
		return late / 4
	case row.Reserve:
		return 0
	case rec.Event == Failed:
		return late / 2
	}
	return late
}

// salt is what keeps a record from passing for one of another place or of another plan.
func salt(seq int, plan string) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(seq))) + plan
}

// JournalHead is the first slot for a plan.
func JournalHead(plan string) []byte {
	return append(make([]byte, 0, slotSize), headMark+plan+"\n"...)[:slotSize]
}

// JournalPlan reads the plan's id from a journal's volume; ErrNoJournal when there is none.
func JournalPlan(r io.ReaderAt) (string, error) {
	b := make([]byte, slotSize)
	if _, err := r.ReadAt(b, 0); err != nil {
		return "", fmt.Errorf("journal: %w", err)
	}
	rest, ok := bytes.CutPrefix(b, []byte(headMark))
	id, _, nl := bytes.Cut(rest, []byte("\n"))
	if !ok || !nl || len(id) != 36 {
		return "", ErrNoJournal
	}
	return string(id), nil
}

// ReadJournal reads the records of a plan up to the first slot that is not whole.
func ReadJournal(r io.ReaderAt, plan string, size int64) (Records, error) {
	id, err := JournalPlan(r)
	if err != nil {
		return nil, err
	}
	if id != plan {
		return nil, fmt.Errorf("journal of plan %s: %w", id, ErrNoJournal)
	}
	var out Records
	b := make([]byte, slotSize)
	for seq := 1; int64(seq+1+checkpointSlots)*slotSize <= size; seq++ {
		if _, err := r.ReadAt(b, int64(seq)*slotSize); err != nil {
			return out, fmt.Errorf("journal: record %d: %w", seq, err)
		}
		rec, ok := decode(b, seq, plan)
		if !ok {
			if at := nextWhole(r, seq, plan, size); at > 0 {
				return out, fmt.Errorf("journal: record %d is damaged, but record %d is intact, so what happened is unknown and the migration cannot continue; make a new plan with `migrate-init plan`", seq, at)
			}
			break
		}
		out = append(out, rec)
	}
	return out, nil
}

// nextWhole finds a record behind one that is not whole, 0 for none. Records are written one after the other: there is one
// only when a medium lost what it had, and then the journal has no end that could be believed. What cannot be read there
// tells nothing.
func nextWhole(r io.ReaderAt, seq int, plan string, size int64) int {
	b := make([]byte, slotSize)
	for seq++; int64(seq+1+checkpointSlots)*slotSize <= size; seq++ {
		if _, err := r.ReadAt(b, int64(seq)*slotSize); err != nil {
			return 0
		}
		if _, ok := decode(b, seq, plan); ok {
			return seq
		}
	}
	return 0
}

func decode(b []byte, seq int, plan string) (Record, bool) {
	var rec Record
	payload, ok := copy.DecodeSlot(recordMark, salt(seq, plan), b)
	if !ok || json.Unmarshal(payload, &rec) != nil {
		return rec, false
	}
	rec.Seq = seq
	return rec, true
}

// Slot renders a record; a text that does not fit is cut and says so.
func (rec Record) Slot(seq int, plan string) ([]byte, error) {
	rec.Seq = seq
	payload, err := json.Marshal(rec)
	for err == nil && len(payload) > maxPayload {
		over := len(payload) - maxPayload
		switch {
		case len(rec.Text) > over+16:
			rec.Text = rec.Text[:len(rec.Text)-over-16] + " (cut)"
		case rec.Facts != nil:
			rec.Facts = shorter(rec.Facts)
		case rec.Text == "(cut)":
			return nil, fmt.Errorf("journal: record %d: %d bytes too long without its text", seq, over)
		default:
			rec.Text = "(cut)"
		}
		payload, err = json.Marshal(rec)
	}
	if err != nil {
		return nil, fmt.Errorf("journal: record %d: %w", seq, err)
	}
	return copy.EncodeSlot(recordMark, salt(seq, plan), payload, slotSize)
}

// shorter halves the longest value: a list of what could not be read tells more in part than not at all.
func shorter(facts map[string]string) map[string]string {
	longest := ""
	for k, v := range facts {
		if len(v) > len(facts[longest]) || len(v) == len(facts[longest]) && k < longest {
			longest = k
		}
	}
	if v := facts[longest]; len(v) > 64 {
		facts = maps.Clone(facts)
		facts[longest] = v[:len(v)/2] + " (cut)"
		return facts
	}
	return nil
}

// appendTo gives the effect that writes the next record, or ErrJournalFull.
func (rs Records) appendTo(dev, plan string, size int64, rec Record) (machine.Effect, Record, error) {
	seq := len(rs) + 1
	if int64(seq+1+checkpointSlots)*slotSize > size {
		return nil, rec, ErrJournalFull
	}
	b, err := rec.Slot(seq, plan)
	if err != nil {
		return nil, rec, err
	}
	rec.Seq = seq
	return machine.WriteDevice{Dev: dev, Why: fmt.Sprintf("journal record %d: %s %s", seq, rec.Stage, rec.Event), Chunks: []machine.Chunk{{Offset: int64(seq) * slotSize, Data: b}}}, rec, nil
}

// Done reports whether a stage (or a named part of one) ended well and was neither begun again nor taken back since.
func (rs Records) Done(stage string) bool {
	done := false
	for _, r := range rs {
		if r.Stage == stage && (r.Event == Begin || r.Event == Done || r.Event == Void) {
			done = r.Event == Done
		}
	}
	return done
}

// last gives the latest event of a stage, "" for none.
func (rs Records) last(stage string) string {
	for i := len(rs) - 1; i >= 0; i-- {
		if rs[i].Stage == stage {
			return rs[i].Event
		}
	}
	return ""
}

// Committing reports whether a commit was begun of which no record says that it was made: then only the file on the target
// knows, and the boot loader that reads it.
func (rs Records) Committing() bool {
	last := rs.last("commit")
	return last == Begin || last == Failed
}

// Begun reports whether a stage was ever begun.
func (rs Records) Begun(stage string) bool {
	for _, r := range rs {
		if r.Stage == stage && r.Event == Begin {
			return true
		}
	}
	return false
}

// Last returns the last record of an event, or nil.
func (rs Records) Last(event string) *Record {
	for i := len(rs) - 1; i >= 0; i-- {
		if rs[i].Event == event {
			return &rs[i]
		}
	}
	return nil
}

// Fact returns the latest value recorded under a name, or "".
func (rs Records) Fact(name string) string {
	for i := len(rs) - 1; i >= 0; i-- {
		if v, ok := rs[i].Facts[name]; ok {
			return v
		}
	}
	return ""
}
