package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// shipped is the row of the program as a person calls it: measuring the disks, copying, and reading all of it back.
const shipped = "migrate-init copy"

// engine is a way to copy. Words of a command: SRC and DST are the mount points,
// or for block engines the devices; DRIVER is the engines' process, FS the
// filesystem's type, STATE a file for what one pass leaves to the next, BINARY the shipped program.
type engine struct {
	pass
	tool  string // that has to be installed
	only  string // the filesystem it knows
	block bool   // copies devices, not mounted directories
	then  []pass // measured after it
}

// pass is one or, as a pipe, two commands.
type pass struct {
	name string
	argv []string
	into []string
	// parts reads, from what the command printed, how many seconds of it went where.
	parts func(said []byte) (map[string]float64, error)
}

// copied are the parts of migrate-init copy --json: its lines of progress come before the result.
func copied(said []byte) (map[string]float64, error) {
	for len(said) > 0 {
		line, rest, _ := bytes.Cut(said, []byte("\n"))
		if !bytes.HasPrefix(line, []byte("{")) || bytes.HasPrefix(line, []byte(`{"event"`)) {
			said = rest
			continue
		}
		var r struct{ Copied, Verified struct{ Seconds float64 } }
		if err := json.NewDecoder(bytes.NewReader(said)).Decode(&r); err != nil {
			return nil, err
		}
		if r.Copied.Seconds <= 0 || r.Verified.Seconds <= 0 {
			return nil, fmt.Errorf("no times in %q", said)
		}
		return map[string]float64{"its copying": r.Copied.Seconds, "its verification": r.Verified.Seconds}, nil
	}
	return nil, errors.New("no result")
}

func allEngines() []engine {
	driver := func(what string) []string {
		return []string{"DRIVER", "-test.run=^TestDriver$", "-test.timeout=0", "-test.v=false", what, "SRC", "DST", "STATE"}
	}
	return []engine{
		{pass: pass{name: shipped, argv: []string{"BINARY", "copy", "--json", "SRC", "DST"}, parts: copied}},
		{pass: pass{name: "tree", argv: driver("tree")}, then: []pass{{name: "verify", argv: driver("tree-verify")}}},
		{pass: pass{name: "cp -ax", argv: []string{"cp", "-ax", "SRC/.", "DST"}}, tool: "cp"},
		{pass: pass{name: "rsync -aHAXSx", argv: []string{"rsync", "-aHAXSx", "SRC/", "DST/"}}, tool: "rsync"},
		{pass: pass{name: "tar", argv: []string{"tar", "-C", "SRC", "--one-file-system", "--xattrs", "--acls", "-S", "-cf", "-", "."},
			into: []string{"tar", "-C", "DST", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpf", "-"}}, tool: "tar"},
		{pass: pass{name: "extent", argv: driver("extent")}, block: true, then: []pass{{name: "verify", argv: driver("extent-verify")}}},
		{pass: pass{name: "partclone", argv: []string{"partclone.FS", "-b", "-q", "-L", "/dev/null", "-s", "SRC", "-O", "DST"}}, tool: "partclone.FS", block: true},
		{pass: pass{name: "e2image -ra", argv: []string{"e2image", "-ra", "SRC", "DST"}}, tool: "e2image", only: "ext4", block: true},
		{pass: pass{name: "raw", argv: driver("raw")}, block: true, then: []pass{{name: "read", argv: driver("raw-read")}}},
	}
}
