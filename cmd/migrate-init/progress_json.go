package main

import (
	"encoding/json"
	"unicode/utf8"

	"migrate-init/pkg/stage"
)

// toldProgress is a line that --json gives on the way. The result, on stdout, has no event.
type toldProgress struct {
	Event      string  `json:"event"` // "progress"
	Stage      string  `json:"stage"` // "copy", "verify"
	Files      int64   `json:"files"`
	TotalFiles int64   `json:"total_files,omitempty"` // totals are estimates, absent where there is none
	Bytes      int64   `json:"bytes"`
	TotalBytes int64   `json:"total_bytes,omitempty"`
	Rate       int64   `json:"rate"`          // bytes a second over the last ten
	ETA        float64 `json:"eta,omitempty"` // seconds; absent while it is unknown
	Path       anyName `json:"path,omitempty"`
}

func progressJSON(e stage.Event) []byte {
	g := e.Progress
	b, err := json.Marshal(toldProgress{"progress", e.Stage, g.Files, g.TotalFiles, g.Bytes, g.TotalBytes, int64(g.Rate), g.ETA, anyName(g.Path)})
	if err != nil {
		return nil // there is no such value, but an infinite float
	}
	return append(b, '\n')
}

// anyName is a file's name in JSON: a string, or, where it is no UTF-8 and would be lost in one, {"base64": "..."}.
type anyName string

type rawName struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (n anyName) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(n)) {
		return json.Marshal(string(n))
	}
	return json.Marshal(rawName{[]byte(n)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *anyName) UnmarshalJSON(b []byte) error {
	var raw rawName
	if json.Unmarshal(b, &raw) == nil && raw.Base64 != nil {
		*n = anyName(raw.Base64)
		return nil
	}
	return json.Unmarshal(b, (*string)(n))
}
