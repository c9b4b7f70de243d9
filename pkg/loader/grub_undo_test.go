package loader

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestGRUBUndo: no custom.cfg and an empty one are different things to go back to, in both formats of the record.
func TestGRUBUndo(t *testing.T) {
	for _, custom := range [][]byte{nil, {}, []byte("x")} {
		was := grubUndo{Custom: custom, Grubenv: []byte("env"), CustomPath: "/c", EnvPath: "/e"}
		b, err := json.Marshal(was)
		if err != nil {
			t.Fatal(err)
		}
		record, err := json.Marshal(map[string]any{"plan": "p", "custom": custom, "grubenv": was.Grubenv, "custom_path": "/c", "env_path": "/e", "kernel": "/k"})
		if err != nil {
			t.Fatal(err)
		}
		name, adopted, ok := Known().Adopt(record)
		if !ok || name != "grub" {
			t.Fatalf("record %s: adopted by %q, %v", record, name, ok)
		}
		for _, undo := range []json.RawMessage{b, adopted} {
			got, err := readGRUBUndo(undo)
			if err != nil || (got.Custom == nil) != (custom == nil) || string(got.Custom) != string(custom) || string(got.Grubenv) != "env" || got.CustomPath != "/c" || got.EnvPath != "/e" {
				t.Errorf("custom %v came back as %+v, %v", custom, got, err)
			}
		}
	}
}

func TestGRUBUndoRefuses(t *testing.T) {
	for _, bad := range []string{"", "{", `{"custom":null,"later":1}`} {
		if _, err := grubDisarm("id", json.RawMessage(bad), nil); err == nil || !strings.Contains(err.Error(), "with the migrate-init that scheduled") {
			t.Errorf("undo record %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"{", `{}`, `{"plan":"p","env_path":"/e"}`} {
		if name, _, ok := Known().Adopt([]byte(bad)); ok {
			t.Errorf("record %q was adopted by %s", bad, name)
		}
	}
}

func TestUnknown(t *testing.T) {
	if _, err := Known().Disarm("lilo", "id", nil, nil); err == nil || !strings.Contains(err.Error(), `boot loader "lilo": not known`) {
		t.Error(err)
	}
}
