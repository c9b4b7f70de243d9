package stage

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"unicode"

	"migrate-init/pkg/plan"
)

// A ConsoleReport is what is known of a failure of which no journal holds the reason: before the first write there is none.
// It is printed on the consoles as a block of lines, and read again from what a serial line, a BMC or a hypervisor
// captured of them.
type ConsoleReport struct {
	Version string      `json:"version"`
	Time    string      `json:"time,omitempty"`
	Cmdline string      `json:"cmdline,omitempty"`
	Plan    string      `json:"plan,omitempty"`
	Error   string      `json:"error"`
	Said    []string    `json:"said,omitempty"`  // what was on the consoles before, the oldest first
	Facts   *plan.Facts `json:"facts,omitempty"` // the machine as it was last looked at
}

// A report is at most so long, packed: 7 KiB take 8 seconds at 9600 baud.
const maxConsoleReport = 7 << 10

// Of a line: the bytes of the report that it carries. With "migrate-init: " before it, it has 76 columns.
const consoleLineBytes = 30

// Lines renders a report as the block between its two marker lines. What makes it too long is left out, the facts first,
// then what was said longest ago.
func (r ConsoleReport) Lines() ([]string, error) {
	for {
		packed, err := r.pack()
		switch {
		case err != nil:
			return nil, err
		case len(packed) <= maxConsoleReport:
			return consoleLines(packed), nil
		case r.Facts != nil:
			r.Facts = nil
		case len(r.Said) > 0:
			r.Said = r.Said[(len(r.Said)+1)/2:]
		case r.Cmdline != "":
			r.Cmdline = ""
		case len(r.Error) > maxConsoleReport/2:
			r.Error = r.Error[:maxConsoleReport/2] + " (cut)"
		default:
			return nil, fmt.Errorf("report: %d bytes, at most %d", len(packed), maxConsoleReport)
		}
	}
}

func (r ConsoleReport) pack() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// consoleLines: every line says of which report it is, which of how many, and has a checksum of its own. So a log may have
// several reports, one of them twice, and anything in between; and what is missing can be named.
func consoleLines(packed []byte) []string {
	id := consoleID(packed)
	n := (len(packed) + consoleLineBytes - 1) / consoleLineBytes
	out := []string{fmt.Sprintf("-----BEGIN REPORT %s: %d lines-----", id, n)}
	for i := range n {
		part := packed[i*consoleLineBytes : min((i+1)*consoleLineBytes, len(packed))]
		head := fmt.Sprintf("%s %03d/%03d %s", id, i+1, n, base64.StdEncoding.EncodeToString(part))
		out = append(out, head+" "+lineSum(head))
	}
	return append(out, fmt.Sprintf("-----END REPORT %s-----", id))
}

// consoleID names a report by the checksum of all of it.
func consoleID(packed []byte) string {
	sum := sha256.Sum256(packed)
	return fmt.Sprintf("%x", sum[:4])
}

func lineSum(head string) string {
	return fmt.Sprintf("%04x", crc32.ChecksumIEEE([]byte(head))&0xffff)
}

// unpackReport is the inverse of pack.
func unpackReport(packed []byte) (ConsoleReport, error) {
	const most = 4 << 20 // a report that is longer is none
	var r ConsoleReport
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return r, err
	}
	text, err := io.ReadAll(io.LimitReader(z, most))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// String is the report for people.
func (r ConsoleReport) String() string {
	var b strings.Builder
	for _, x := range [][2]string{{"version", r.Version}, {"time", r.Time}, {"plan", r.Plan}, {"command line", r.Cmdline}, {"error", r.Error}} {
		if x[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", x[0], shown(x[1]))
		}
	}
	if len(r.Said) > 0 {
		b.WriteString("\nOn the consoles:\n")
		for _, line := range r.Said {
			fmt.Fprintf(&b, "  %s\n", shown(line))
		}
	}
	if r.Facts != nil {
		fmt.Fprintf(&b, "\n%s", r.Facts.DescribeStorage())
	}
	return b.String()
}

// shown takes from a text of a log what a terminal obeys: anyone may have written it.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsPrint(r):
			return r
		}
		return '?'
	}, strings.ReplaceAll(s, "\n", "\n  "))
}
