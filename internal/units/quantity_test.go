package units

import (
	"encoding"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

func TestCountForms(t *testing.T) {
	for text, want := range map[string]Count{
		"0": 0, "300000": 300000, "1,000": 1000, "1_000": 1000, "15T": 15e12, "1.5B": 15e8, "1.5b": 15e8, "2 G": 2e9, "7K": 7000, "1e3": 1000,
		"9007199254740993": 1<<53 + 1, "9223372036854775807": math.MaxInt64, "0.3B": 3e8, "1.1T": 11e11,
	} {
		var c Count
		if err := c.UnmarshalText([]byte(text)); err != nil || c != want {
			t.Errorf("%q: %d, %v, want %d", text, c, err, want)
		}
	}
	for _, text := range []string{"", "T", "-1", "1.5", "0.4", "1.0005K", "15 trillion", "1Q", "9223372036854775808", "1e30", "NaN", "Inf", "0x10", "1.2.3", "١"} {
		refused(t, new(Count), text, "a whole number is needed")
	}
}

func TestBytesForms(t *testing.T) {
	for text, want := range map[string]Bytes{
		"512": 512, "80GB": 80e9, "80 gb": 80e9, "80GiB": 80 << 30, "1.5TiB": 3 << 39, "1kB": 1000, "4KiB": 4096, "2PB": 2e15, "1PiB": 1 << 50, "7B": 7,
		"9223372036854775807": math.MaxInt64, "1.1GiB": 1181116006,
	} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q: %d, %v, want %d", text, b, err, want)
		}
	}
	for _, text := range []string{"", "GB", "-1GB", "80 parsecs", "80Gb/s", "1e30", "8EiB", "0.4", "0.4B", "NaN"} {
		refused(t, new(Bytes), text, "a size is needed")
	}
}

func TestDurationForms(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "14d": 14 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "0.5d": 12 * time.Hour, " 3 d ": 72 * time.Hour, "0": 0,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%q: %s, %v, want %s", text, time.Duration(d), err, want)
		}
	}
	for _, text := range []string{"", "-5s", "-1d", "5", "1y", "200000d", "often", "1d2h3", "NaNd"} {
		refused(t, new(Duration), text, "a duration is needed")
	}
}

func refused(t *testing.T, into encoding.TextUnmarshaler, text, want string) {
	t.Helper()
	err := into.UnmarshalText([]byte(text))
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
		t.Errorf("%q: %v, want %s", text, err, want)
	}
}

// form is a quantity that reads and writes its own text.
type form interface {
	encoding.TextMarshaler
	encoding.TextUnmarshaler
}

func roundTrip[T ~int64, P interface {
	*T
	form
}](t *rapid.T, value T) {
	text, err := P(&value).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back T
	if err := P(&back).UnmarshalText(text); err != nil || back != value {
		t.Fatalf("%d is written %s and read as %d, %v", value, text, back, err)
	}
}

func TestQuantityTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")
		roundTrip[Count](t, Count(n))
		roundTrip[Bytes](t, Bytes(n))
		roundTrip[Duration](t, Duration(n))
	})
}

func FuzzQuantities(f *testing.F) {
	for _, seed := range []string{"15T", "80GiB", "1h30m", "14d", "1e18", "9223372036854775807", "0.000001T", "1_,_0", "1e-5K"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, into := range []form{new(Count), new(Bytes), new(Duration)} {
			if into.UnmarshalText([]byte(text)) != nil {
				continue
			}
			written, err := into.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			if err := into.UnmarshalText(written); err != nil {
				t.Errorf("%q is written %s, which is refused: %v", text, written, err)
			}
		}
	})
}
