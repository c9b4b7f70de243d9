package stage

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// KeptDir is where schedule leaves on the old system what its rehearsal made. Everything in it is ours.
const KeptDir = StateDir + "/rehearsed"

// keptRecord says what lies there. It is written last: a record is of files that are whole.
const keptRecord = KeptDir + "/record.json"

// maxRecord is more than any record has.
const maxRecord = 16 << 20

// keptSet is the content of keptRecord.
type keptSet struct {
	Version int        `json:"version"`
	Plan    string     `json:"plan"`
	Parts   []keptPart `json:"parts"`
}

const keptVersion = 1

// keptPart is what some of the programs of `rebuild` made, and all that it depends on.
type keptPart struct {
	Name   string     `json:"name"`
	Reads  readings   `json:"reads"`  // what the row's patterns matched when the programs were started
	Inside readings   `json:"inside"` // files of the system that a made file has a copy of
	Files  []keptFile `json:"files"`
}

// keptFile is one file that was made.
type keptFile struct {
	Path string `json:"path"` // where it belongs, absolute in the system
	Name string `json:"name"` // in KeptDir
	Size int64  `json:"size"`
	Sum  string `json:"sha256"`
	Mode uint32 `json:"mode"`
}

// Kept is the result of a rehearsal: its record, and where each file lies until it is kept.
type Kept struct {
	record keptSet
	from   map[string]string
}

// Size is how many bytes the files have.
func (k *Kept) Size() int64 {
	n := int64(0)
	for _, p := range k.record.Parts {
		for _, f := range p.Files {
			n += f.Size
		}
	}
	return n
}

// keep are the effects that put the result of a rehearsal into the old system, in the place of an earlier one, root being that system.
func (k *Kept) keep(root fs.FS) ([]machine.Effect, error) {
	out, err := removeKept(root, "/")
	if err != nil || k == nil {
		return out, err
	}
	out = append(out, machine.Mkdir{Path: KeptDir, Mode: 0o700})
	for _, p := range k.record.Parts {
		for _, f := range p.Files {
			out = append(out, machine.CopyFile{From: k.from[f.Name], To: path.Join(KeptDir, f.Name), Mode: 0o600})
		}
	}
	text, err := json.Marshal(k.record)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", keptRecord, err)
	}
	return append(out, machine.WriteFile{Path: keptRecord, Data: append(text, '\n'), Mode: 0o600}), nil
}

// removeKept returns the effects that remove what a rehearsal left in a system, the record first. dir is where that system is on this machine.
func removeKept(root fs.FS, dir string) ([]machine.Effect, error) {
	at, list, err := listDir(root, KeptDir)
	if err != nil || at == "" {
		return nil, err
	}
	at = path.Join(dir, at)
	out := []machine.Effect{machine.Remove{Path: path.Join(at, path.Base(keptRecord))}}
	for _, x := range list {
		if x.Name() != path.Base(keptRecord) {
			out = append(out, machine.Remove{Path: path.Join(at, x.Name())})
		}
	}
	return append(out, machine.Remove{Path: at}), nil
}

// errNotKept says that no rehearsal was made for this plan.
var errNotKept = errors.New("nothing was made before the reboot")

// readKept reads the record in a system, and refuses one that is torn, of another plan, or not as this program writes it.
func readKept(root fs.FS, p *plan.Plan) (keptSet, error) {
	at, err := throughLinks(root, keptRecord)
	if err != nil {
		return keptSet{}, err
	}
	f, err := root.Open(nonRoot(at))
	if errors.Is(err, fs.ErrNotExist) {
		return keptSet{}, errNotKept
	}
	if err != nil {
		return keptSet{}, fmt.Errorf("file %s: %w", keptRecord, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err == nil && len(b) > maxRecord {
		err = errors.New("it is too long")
	}
	if err != nil {
		return keptSet{}, fmt.Errorf("file %s: %w", keptRecord, err)
	}
	k, err := parseKept(b)
	if err != nil {
		return keptSet{}, fmt.Errorf("file %s: %w", keptRecord, err)
	}
	if k.Plan != p.ID {
		return keptSet{}, fmt.Errorf("file %s: it is of plan %s", keptRecord, k.Plan)
	}
	return k, nil
}

func parseKept(b []byte) (keptSet, error) {
	var k keptSet
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		return keptSet{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return keptSet{}, errors.New("something follows its end")
	}
	if k.Version != keptVersion {
		return keptSet{}, fmt.Errorf("version %d, and this program reads %d", k.Version, keptVersion)
	}
	names := map[string]bool{path.Base(keptRecord): true}
	for _, p := range k.Parts {
		if names["part "+p.Name] || len(p.Files) == 0 || len(p.Reads) == 0 {
			return keptSet{}, fmt.Errorf("part %q: twice, or without files or what they depend on", p.Name)
		}
		names["part "+p.Name] = true
		for _, f := range p.Files {
			sum, err := hex.DecodeString(f.Sum)
			if err != nil || len(sum) != 32 || f.Size <= 0 || f.Mode&^0o777 != 0 || names[f.Name] || names[f.Path] ||
				!path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" || f.Name == "" || f.Name == "." || f.Name == ".." || strings.ContainsAny(f.Name, "/\x00") || strings.Contains(f.Path, "\x00") {
				return keptSet{}, fmt.Errorf("part %s: file %q as %q: not valid", p.Name, f.Path, f.Name)
			}
			names[f.Name], names[f.Path] = true, true
		}
	}
	return k, nil
}

// part finds a part that may be installed into a system: all that it depends on is there as it was, and its files are whole. The
// error says why not.
func (k keptSet) part(root fs.FS, name string, reads []string) (keptPart, error) {
	for _, p := range k.Parts {
		if p.Name != name {
			continue
		}
		r := newReader(root)
		now, err := r.all(reads)
		if err != nil {
			return keptPart{}, err
		}
		if what := p.Reads.changed(now); what != "" {
			return keptPart{}, errors.New(what)
		}
		inside := readings{}
		for file := range p.Inside {
			v, err := r.stamp(file)
			if err != nil {
				return keptPart{}, err
			}
			if v != "" {
				inside[file] = v
			}
		}
		if what := p.Inside.changed(inside); what != "" {
			return keptPart{}, errors.New(what)
		}
		for _, f := range p.Files {
			at, err := throughLinks(root, path.Join(KeptDir, f.Name))
			if err != nil {
				return keptPart{}, err
			}
			sum, size, err := digest(root, at)
			if err != nil {
				return keptPart{}, err
			}
			if sum != f.Sum || size != f.Size {
				return keptPart{}, fmt.Errorf("%s is not as it was kept", path.Join(KeptDir, f.Name))
			}
		}
		return p, nil
	}
	return keptPart{}, errors.New("it was not made before the reboot")
}
