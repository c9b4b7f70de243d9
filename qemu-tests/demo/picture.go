package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"unicode/utf8"
)

const (
	lineHeight = 18
	margin     = 16
	columns    = 104
	textWidth  = columns * 78 / 10 // of a monospaced font of 13 pixels
)

func (k kind) fill() string {
	switch k {
	case heading:
		return "#ffffff"
	case command:
		return "#7fd7ff"
	case remark:
		return "#a0d8a0"
	case answer:
	}
	return "#c8c8c8"
}

// svg draws those lines that belong in the picture as text, so that it can be read, searched and copied.
func svg(lines []line) []byte {
	var body bytes.Buffer
	n := 0
	for _, l := range lines {
		if !l.picture {
			continue
		}
		n++
		if l.text == "" {
			continue
		}
		text := l.text
		if utf8.RuneCountInString(text) > columns {
			text = string([]rune(text)[:columns-1]) + "…"
		}
		weight := ""
		if l.kind == heading {
			weight = ` font-weight="bold"`
		}
		fmt.Fprintf(&body, `<text x="%d" y="%d" fill="%s"%s xml:space="preserve">`, margin, margin+n*lineHeight, l.kind.fill(), weight)
		_ = xml.EscapeText(&body, []byte(text)) // a buffer takes everything
		body.WriteString("</text>\n")
	}
	width, height := 2*margin+textWidth, 2*margin+n*lineHeight
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&out, "<title>A run of make demo</title>\n<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"#1c1f26\"/>\n")
	out.Write(body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}
