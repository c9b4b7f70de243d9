package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/pelletier/go-toml/v2"
)

// maxPlan bounds what Read takes: a plan of a hundred disks is below 200 KiB.
const maxPlan = 1 << 20

// sealOf covers all of a plan but its policy and the seal itself.
func sealOf(p *Plan) (string, error) {
	q := *p
	q.Seal, q.Policy = "", Policy{}
	b, err := json.Marshal(q)
	if err != nil {
		return "", fmt.Errorf("plan: seal: %w", err)
	}
	// TOML does not tell an absent list from an empty one, so neither may the seal.
	var v any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return "", fmt.Errorf("plan: seal: %w", err)
	}
	if b, err = json.Marshal(withoutEmpty(v)); err != nil {
		return "", fmt.Errorf("plan: seal: %w", err)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:]), nil
}

// withoutEmpty takes null and empty lists out of decoded JSON.
func withoutEmpty(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if list, ok := x.([]any); x == nil || ok && len(list) == 0 {
				delete(v, k)
				continue
			}
			v[k] = withoutEmpty(x)
		}
	case []any:
		for i := range v {
			v[i] = withoutEmpty(v[i])
		}
	}
	return v
}

// Encode renders a plan as TOML, sealed. It reads back what it wrote: text that TOML cannot hold (a name that is not
// UTF-8) is an error here, not a broken seal in the init.
func (p *Plan) Encode() ([]byte, error) {
	s, err := sealOf(p)
	if err != nil {
		return nil, err
	}
	p.Seal = s
	var b bytes.Buffer
	b.WriteString("# A plan of migrate-init. [policy] may be edited; everything else is sealed: make a new plan instead.\n")
	enc := toml.NewEncoder(&b)
	enc.SetIndentTables(true)
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if _, err := Read(bytes.NewReader(b.Bytes())); err != nil {
		return nil, fmt.Errorf("plan %s: cannot be read back (is a name in it not UTF-8?): %w", p.ID, err)
	}
	return b.Bytes(), nil
}

// Read reads a plan strictly: an unknown field, another version, a broken seal or an impossible policy is an error.
func Read(r io.Reader) (*Plan, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPlan+1))
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if len(b) > maxPlan {
		return nil, fmt.Errorf("plan: longer than %d bytes; this is not a plan of migrate-init", maxPlan)
	}
	var v struct {
		Version int `toml:"version"`
	}
	if err := toml.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("plan: not TOML: %w; make a new one with `migrate-init plan`", err)
	}
	if v.Version != Version {
		return nil, fmt.Errorf("plan: version is %d, this migrate-init reads version %d; make a new one with `migrate-init plan`", v.Version, Version)
	}
	var p Plan
	dec := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return nil, fmt.Errorf("plan: unknown field:\n%s\nremove it, or make a new plan with `migrate-init plan`", strict.String())
		}
		return nil, fmt.Errorf("plan: %w", err)
	}
	s, err := sealOf(&p)
	if err != nil {
		return nil, err
	}
	if s != p.Seal {
		return nil, fmt.Errorf("plan %s: its seal is %.12s... but its contents give %.12s...: something outside [policy] was edited; make a new one with `migrate-init plan`", p.ID, p.Seal, s)
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	if err := p.Policy.check(); err != nil {
		return nil, err
	}
	return &p, nil
}

func (p Policy) check() error {
	switch p.OnFailure {
	case "reboot", "shell", "poweroff":
	default:
		return fmt.Errorf("plan: policy.on_failure is %q; it must be reboot, shell or poweroff", p.OnFailure)
	}
	switch p.ReadError {
	case "stop", "skip-and-list":
	default:
		return fmt.Errorf("plan: policy.read_error is %q; it must be stop or skip-and-list", p.ReadError)
	}
	if p.Panic < 1 || p.Panic > 3600 {
		return fmt.Errorf("plan: policy.panic is %d; it must be 1 to 3600 seconds, so that a panic always becomes a reboot", p.Panic)
	}
	if p.DeadlineSecs < 5 || p.DeadlineSecs > 3600 {
		return fmt.Errorf("plan: policy.deadline is %d; it must be 5 to 3600 seconds", p.DeadlineSecs)
	}
	if p.Attempts < 0 || p.Attempts > 99 {
		return fmt.Errorf("plan: policy.attempts is %d; it must be 1 to 99", p.Attempts)
	}
	return nil
}
