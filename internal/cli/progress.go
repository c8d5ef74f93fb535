package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/mattn/go-runewidth"
	"golang.org/x/term"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
)

const (
	barWidth   = 24 // columns of the progress bar
	sparkWidth = 8  // columns of the loss's little curve
	plainEvery = 10 * time.Second
	plainParts = 10  // plain lines over all steps, at least
	lossPoints = 512 // of a run, kept for the little curve
)

// display shows a run that goes on: one line that is drawn again on a
// terminal, a line now and then elsewhere. It is not safe for concurrent use.
type display struct {
	out      io.Writer
	terminal bool
	width    func() int
	now      func() time.Time

	losses    []float64
	lastStep  int64
	first     v1.Progress // of this attempt, for the time that is left
	attempt   int
	saved     int64     // step of the last checkpoint
	savedAt   time.Time // when it was first seen; zero where it was there before
	seen      bool      // any progress was shown
	drawn     bool      // the live line is on the screen
	partial   string
	plainAt   time.Time
	plainDone int // tenths of the way
}

func newDisplay(out io.Writer) *display {
	d := &display{out: out, width: func() int { return 0 }, now: time.Now}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		d.terminal = true
		d.width = func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 80
			}
			return width
		}
	}
	return d
}

// text prints whole lines of the run's log above the live line; an unfinished
// line waits for its end.
func (d *display) text(chunk string) {
	d.partial += chunk
	end := strings.LastIndexByte(d.partial, '\n')
	if end < 0 {
		return
	}
	d.say(d.partial[:end+1])
	d.partial = d.partial[end+1:]
}

// say prints lines above the live line.
func (d *display) say(lines string) {
	d.clear()
	_, _ = io.WriteString(d.out, lines) // a closed terminal must not end the run
}

// flush prints what is left of an unfinished line and takes the live line away.
func (d *display) flush() {
	d.clear()
	if d.partial != "" {
		_, _ = io.WriteString(d.out, d.partial+"\n")
		d.partial = ""
	}
}

func (d *display) clear() {
	if d.drawn {
		_, _ = io.WriteString(d.out, "\r\x1b[K")
		d.drawn = false
	}
}

// show takes in the state of the run and draws it.
func (d *display) show(run v1.RunDetail) {
	p := run.Progress
	if p == nil || len(run.AttemptList) == 0 {
		return
	}
	if run.Attempts != d.attempt {
		d.attempt, d.first = run.Attempts, v1.Progress{}
		d.plainAt, d.plainDone = time.Time{}, 0
	}
	current := run.AttemptList[len(run.AttemptList)-1].Progress
	if current == nil {
		return // a new attempt has not reported yet
	}
	if d.first.At.IsZero() {
		d.first = *current
	}
	if p.CheckpointStep != d.saved {
		if d.saved != 0 || d.seen {
			d.savedAt = p.At
		}
		d.saved = p.CheckpointStep
	}
	d.seen = true
	if p.Step != d.lastStep && p.Loss != 0 {
		d.losses = append(d.losses, drawable(p.Loss))
		if len(d.losses) > lossPoints {
			d.losses = d.losses[len(d.losses)-lossPoints:]
		}
	}
	d.lastStep = p.Step
	if d.terminal {
		d.clear()
		line := runewidth.Truncate(d.live(run), d.width()-1, "…")
		_, _ = io.WriteString(d.out, line)
		d.drawn = true
		return
	}
	d.plain(run)
}

// live is the line on a terminal.
func (d *display) live(run v1.RunDetail) string {
	p := run.Progress
	parts := []string{stepText(*p)}
	if done, ok := doneShare(*p); ok {
		parts = append(parts, progressBar(done, barWidth)+fmt.Sprintf(" %3.0f%%", 100*done))
	}
	if p.LossNaNSince > 0 {
		parts = append(parts, lossNaN(*p))
	} else if p.Loss != 0 {
		parts = append(parts, strings.TrimSpace("loss "+showLoss(p.Loss)+" "+spark(d.losses, sparkWidth)))
	}
	parts = append(parts, d.figures(run)...)
	return strings.Join(parts, "   ")
}

// plain is a line for a pipe, every ten seconds or tenth of the way.
func (d *display) plain(run v1.RunDetail) {
	p := run.Progress
	done, known := doneShare(*p)
	tenths := int(done * plainParts)
	due := d.now().Sub(d.plainAt) >= plainEvery || tenths > d.plainDone
	if d.plainAt.IsZero() {
		due = p.Step > 0
	}
	if !due {
		return
	}
	d.plainAt, d.plainDone = d.now(), tenths
	parts := []string{stepText(*p)}
	if known {
		parts = append(parts, fmt.Sprintf("%.0f%%", 100*done))
	}
	if p.LossNaNSince > 0 {
		parts = append(parts, lossNaN(*p))
	} else if p.Loss != 0 {
		parts = append(parts, "loss "+showLoss(p.Loss))
	}
	d.say(strings.Join(append(parts, d.figures(run)...), " · ") + "\n")
}

// figures is what both forms say of speed, time, money and safety.
func (d *display) figures(run v1.RunDetail) []string {
	var parts []string
	p := run.Progress
	if p.TokensPerSecond > 0 {
		parts = append(parts, showCount(p.TokensPerSecond)+" tok/s")
	}
	if left, ok := d.left(*p); ok {
		parts = append(parts, showSpan(left)+" left")
	}
	parts = append(parts, showMoney(run.Cost)+" so far")
	switch {
	case !d.savedAt.IsZero():
		parts = append(parts, "checkpoint "+showSpan(max(0, d.now().Sub(d.savedAt)))+" ago")
	case p.CheckpointStep > 0:
		parts = append(parts, "checkpoint at step "+humanize.Comma(p.CheckpointStep))
	}
	return parts
}

// left estimates the time to the last step from the steps of this attempt.
func (d *display) left(p v1.Progress) (time.Duration, bool) {
	steps, span := p.Step-d.first.Step, p.At.Sub(d.first.At)
	if steps <= 0 || span <= 0 || p.Steps <= p.Step {
		return 0, false
	}
	return time.Duration(float64(span) / float64(steps) * float64(p.Steps-p.Step)), true
}

func stepText(p v1.Progress) string {
	if p.Steps > 0 {
		return "step " + humanize.Comma(p.Step) + "/" + humanize.Comma(p.Steps)
	}
	return "step " + humanize.Comma(p.Step)
}

func doneShare(p v1.Progress) (float64, bool) {
	if p.Steps <= 0 {
		return 0, false
	}
	return min(1, max(0, float64(p.Step)/float64(p.Steps))), true
}

// progressBar draws a share with eighths of a column.
func progressBar(share float64, width int) string {
	eighths := []rune(" ▏▎▍▌▋▊▉")
	filled := int(share * float64(width) * 8)
	out := strings.Repeat("█", filled/8)
	if filled/8 < width {
		out += string(eighths[filled%8]) + strings.Repeat(" ", width-filled/8-1)
	}
	return out
}

// spark draws values as a little curve of so many columns, each the mean of
// its share of them.
func spark(values []float64, width int) string {
	if len(values) < 2 {
		return ""
	}
	width = min(width, len(values))
	columns := make([]float64, width)
	low, high := math.Inf(1), math.Inf(-1)
	for i := range columns {
		from, to := i*len(values)/width, (i+1)*len(values)/width
		sum := 0.0
		for _, v := range values[from:to] {
			sum += v
		}
		columns[i] = sum / float64(to-from)
		low, high = min(low, columns[i]), max(high, columns[i])
	}
	levels := []rune("▁▂▃▄▅▆▇█")
	var out strings.Builder
	for _, v := range columns {
		level := 0
		if high > low {
			level = int((v - low) / (high - low) * float64(len(levels)-1))
		}
		out.WriteRune(levels[level])
	}
	return out.String()
}

// diverged is the loss beyond which curves are drawn no higher, and figures
// are shown by their power of ten: no loss of a model that learns is near it.
const diverged = 1e6

// drawable keeps a loss within what can be drawn: a run that diverged reports
// numbers whose differences have no room in a float64.
func drawable(loss float64) float64 { return min(max(loss, -diverged), diverged) }

// lossNaN says since when a loss is not a number.
func lossNaN(p v1.Progress) string {
	return "loss is not a number since step " + humanize.Comma(p.LossNaNSince)
}

// showLoss rounds a loss for people.
func showLoss(loss float64) string {
	if math.Abs(loss) >= diverged {
		return fmt.Sprintf("%.2e", loss)
	}
	return fmt.Sprintf("%.2f", loss)
}

// showCount rounds a count for people: 58.1k, 6.1M.
func showCount(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= unit.size {
			return strconv.FormatFloat(n/unit.size, 'f', 1, 64) + unit.name
		}
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// showSpan rounds a time for people: 9s, 2m04s, 3h05m, 42d.
func showSpan(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%.0fd", d.Hours()/24)
}

// showMoney rounds an amount for people to what matters: $0.0041, $12.35, $2.31M.
func showMoney(m v1.Money) string {
	value, err := strconv.ParseFloat(string(m.Amount), 64)
	if err != nil {
		return string(m.Amount) + " " + m.Currency
	}
	sign := ""
	if value < 0 {
		sign, value = "-", -value
	}
	var text string
	switch {
	case value == 0:
		text = "0"
	case value < 0.1: // two digits that matter, as far as amounts go
		text = strconv.FormatFloat(value, 'f', min(6, max(4, int(math.Ceil(-math.Log10(value)))+1)), 64)
	case value < 1e4:
		text = humanize.CommafWithDigits(math.Round(value*100)/100, 2)
		text = padCents(text)
	case value < 1e6:
		text = humanize.Comma(int64(math.Round(value)))
	case value < 1e9:
		text = strconv.FormatFloat(value/1e6, 'f', 2, 64) + "M"
	default:
		text = strconv.FormatFloat(value/1e9, 'f', 2, 64) + "B"
	}
	if m.Currency == "USD" || m.Currency == "" {
		return sign + "$" + text
	}
	return sign + text + " " + m.Currency
}

// padCents writes two decimals where there are any.
func padCents(text string) string {
	whole, cents, _ := strings.Cut(text, ".")
	return whole + "." + (cents + "00")[:2]
}
