package stage

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// ErrNoReport says that a log has no line of a report.
var ErrNoReport = errors.New("no report of migrate-init is in it")

// reportParts are the lines of one report that a log has.
type reportParts struct {
	id    string
	parts map[int][]byte
	lines int
}

// ReadConsoleReports finds the reports in a captured log, in the order in which they begin. Lines may have anything before
// them (a time stamp, the kernel's or a terminal server's prefix) and after them (a carriage return, colours), may be there
// twice, and may come in any order. An error names what is missing; the reports that are whole are returned all the same.
func ReadConsoleReports(log io.Reader) ([]ConsoleReport, error) {
	found, err := consoleParts(log)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	if len(found) == 0 {
		return nil, ErrNoReport
	}
	var out []ConsoleReport
	var errs []error
	for _, p := range found {
		r, err := p.report()
		if err != nil {
			errs = append(errs, fmt.Errorf("report %s: %w", p.id, err))
			continue
		}
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}

func consoleParts(log io.Reader) ([]*reportParts, error) {
	const longest = 1 << 20 // of a line; a log that is binary has longer ones
	line := regexp.MustCompile(`([0-9a-f]{8} ([0-9]{3})/([0-9]{3}) ([A-Za-z0-9+/]{2,40}={0,2})) ([0-9a-f]{4})`)
	var out []*reportParts
	byKey := map[string]*reportParts{}
	r := bufio.NewReaderSize(log, longest)
	for {
		text, err := r.ReadSlice('\n')
		for _, m := range line.FindAllSubmatch(text, -1) {
			head := string(m[1])
			at, n := number(m[2]), number(m[3])
			data, derr := base64.StdEncoding.DecodeString(string(m[4]))
			if derr != nil || lineSum(head) != string(m[5]) || at < 1 || at > n {
				continue // damaged on the way: as good as missing
			}
			id := head[:8]
			key := fmt.Sprintf("%s of %d", id, n)
			p := byKey[key]
			if p == nil {
				p = &reportParts{id: id, lines: n, parts: map[int][]byte{}}
				byKey[key] = p
				out = append(out, p)
			}
			p.parts[at] = data
		}
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return out, err
		}
	}
}

func number(digits []byte) int {
	n, _ := strconv.Atoi(string(digits)) // three digits, by the expression
	return n
}

// report puts the lines together.
func (p *reportParts) report() (ConsoleReport, error) {
	var packed []byte
	var missing []int
	for i := 1; i <= p.lines; i++ {
		part, ok := p.parts[i]
		if !ok {
			missing = append(missing, i)
		}
		packed = append(packed, part...)
	}
	if len(missing) > 0 {
		return ConsoleReport{}, fmt.Errorf("lines %s of %d are missing or damaged in this log; the log of another console may have them, and both logs one after the other can be read as one", ranges(missing), p.lines)
	}
	if consoleID(packed) != p.id {
		return ConsoleReport{}, errors.New("its checksum does not match: the log was changed")
	}
	return unpackReport(packed)
}

// ranges spells numbers in ascending order: "1, 4-6".
func ranges(n []int) string {
	var out []string
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		if i == j {
			out = append(out, strconv.Itoa(n[i]))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", n[i], n[j]))
		}
		i = j + 1
	}
	return strings.Join(out, ", ")
}
