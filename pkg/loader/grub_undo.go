package loader

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
)

// grubUndo is what GRUB's files were before a migration was armed.
type grubUndo struct {
	Custom     []byte `json:"custom"`  // nil when there was none, which is not the same as an empty one
	Grubenv    []byte `json:"grubenv"` // the environment block
	CustomPath string `json:"custom_path"`
	EnvPath    string `json:"env_path"` // "" where GRUB's own block is not used
}

func readGRUBUndo(b json.RawMessage) (grubUndo, error) {
	var u grubUndo
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&u); err != nil {
		return u, fmt.Errorf("undo record of GRUB: %w; run this command with the migrate-init that scheduled", err)
	}
	return u, nil
}

// grubAdopt takes the record of a version in which the fields of grubUndo stood among those of the schedule.
func grubAdopt(record []byte) (json.RawMessage, bool) {
	var u grubUndo
	if err := json.Unmarshal(record, &u); err != nil || u.EnvPath == "" || u.CustomPath == "" {
		return nil, false
	}
	b, err := json.Marshal(u)
	return b, err == nil
}

// grubDisarm clears the choice first. A file that is not there any more arms nothing.
func grubDisarm(id string, undo json.RawMessage, root fs.FS) ([]machine.Effect, error) {
	was, err := readGRUBUndo(undo)
	if err != nil {
		return nil, err
	}
	var out []machine.Effect
	var env []byte
	if was.EnvPath != "" {
		if env, err = readFile(root, was.EnvPath); err != nil {
			return nil, err
		}
	}
	if env != nil {
		back, err := grubDisarmed(env, id, was)
		if err != nil {
			return nil, fmt.Errorf("file %s: the migration may still be armed; `grub-editenv %s unset next_entry` disarms it: %w", was.EnvPath, was.EnvPath, err)
		}
		if !bytes.Equal(back, env) {
			out = append(out, machine.WriteInPlace{Path: was.EnvPath, Data: back})
		}
	}
	custom, err := readFile(root, was.CustomPath)
	if err != nil {
		return nil, err
	}
	if custom != nil {
		rest, found, err := boot.RemoveSnippet(custom)
		if err != nil {
			return nil, fmt.Errorf("file %s: nothing was cancelled, and the migration may still be armed; remove the lines of migrate-init there by hand, and cancel again: %w", was.CustomPath, err)
		}
		if found && len(rest) == 0 && was.Custom == nil {
			out = append(out, machine.Remove{Path: was.CustomPath})
		} else if found {
			out = append(out, machine.WriteFile{Path: was.CustomPath, Data: rest, Old: custom, Mode: 0o600})
		}
	}
	if len(out) > 0 {
		// GRUB replays no journal: what it is told no more has to be in its place before the files go.
		out = append(out, machine.Sync{Path: path.Dir(was.CustomPath)})
	}
	return out, nil
}

// grubDisarmed is the environment block without what grubArm (and GRUB, on its behalf) put there: the very bytes of
// before, unless something else changed meanwhile.
func grubDisarmed(env []byte, id string, undo grubUndo) ([]byte, error) {
	now, err := boot.ParseGrubenv(env)
	if err != nil {
		return nil, err
	}
	was, err := boot.ParseGrubenv(undo.Grubenv)
	if err != nil {
		return nil, err
	}
	if v, _ := now.Get("next_entry"); v == boot.MigrateEntryID(id) || v == "" {
		now.Unset("next_entry")
		if v, ok := was.Get("next_entry"); ok {
			if err := now.Set("next_entry", v); err != nil {
				return nil, err
			}
		}
	}
	now.Unset(boot.TriedVariable)
	if sameEnv(now, was) {
		return undo.Grubenv, nil
	}
	return now.Bytes(), nil
}

func sameEnv(a, b boot.Grubenv) bool {
	if len(a.Keys()) != len(b.Keys()) {
		return false
	}
	for _, k := range a.Keys() {
		va, _ := a.Get(k)
		if vb, ok := b.Get(k); !ok || va != vb {
			return false
		}
	}
	return true
}
