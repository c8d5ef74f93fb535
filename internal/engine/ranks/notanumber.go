package ranks

import (
	"bytes"
	"encoding/json"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// losses tells what a report says of the losses: a number, not a number, or nothing.
type losses struct {
	Loss json.RawMessage `json:"loss"`
	Eval json.RawMessage `json:"eval_loss"`
}

// marker stands where a report has a bare token that is not a number. No other
// field that is taken is a string.
const marker = `"NaN"`

// soundJSON makes JSON of an object in which the bare tokens NaN, Infinity and
// -Infinity stand for numbers, as some writers have it (Python's json.dumps,
// for one): they become null, by which a field keeps its last value.
func soundJSON(object []byte) ([]byte, losses) {
	var said losses
	sound, found := withoutBare(object, "null")
	if !found {
		_ = json.Unmarshal(object, &said) // what is no JSON is refused by its reader
		return object, said
	}
	marked, _ := withoutBare(object, marker)
	_ = json.Unmarshal(marked, &said)
	return sound, said
}

// withoutBare puts another text in place of each bare token outside strings,
// and tells whether there was one.
func withoutBare(object []byte, instead string) (out []byte, found bool) {
	quoted := false
	for i := 0; i < len(object); {
		if !quoted {
			if n := bareToken(object[i:]); n > 0 {
				out, found = append(out, instead...), true
				i += n
				continue
			}
		}
		n := 1
		switch {
		case object[i] == '"':
			quoted = !quoted
		case object[i] == '\\' && quoted && i+1 < len(object):
			n = 2 // what is escaped ends no string
		}
		out = append(out, object[i:i+n]...)
		i += n
	}
	return out, found
}

// bareToken is the length of the token that the text begins with, or 0.
func bareToken(text []byte) int {
	for _, token := range []string{"NaN", "Infinity", "-Infinity"} {
		rest, found := bytes.CutPrefix(text, []byte(token))
		if found && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n,]}"), rest[0]) >= 0) {
			return len(token)
		}
	}
	return 0
}

// mark puts down what a report says of the losses.
func (l losses) mark(p *fleet.Progress) {
	switch string(l.Loss) {
	case "", "null":
	case marker:
		p.Loss = 0
		if p.LossNaNSince == 0 {
			p.LossNaNSince = max(1, p.Step)
		}
	default:
		p.LossNaNSince = 0
	}
	if string(l.Eval) == marker {
		p.EvalLoss = 0
	}
}
