package chip

import (
	"strings"
	"sync"
	"unicode"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/spec"
)

// Find returns the chip of that ID or alias. Case, blanks, punctuation and a
// leading name of the chipmaker do not matter: "NVIDIA H100-SXM5", "h100 sxm5"
// and "H100" are one. An unknown name is fault.NotFound and says what is near.
func Find(name string) (*Chip, error) {
	if c := byName()[normal(name)]; c != nil {
		return c, nil
	}
	return nil, fault.Newf(fault.NotFound, "unknown chip %q%s", clip(name), spec.DidYouMean(name, IDs()))
}

// IDs lists the canonical names, sorted.
func IDs() []string {
	chips := parsed()
	ids := make([]string, len(chips))
	for i, c := range chips {
		ids[i] = c.ID
	}
	return ids
}

// byName finds chips by the normal form of each name that they answer to; the
// first chip of a name has it.
var byName = sync.OnceValue(func() map[string]*Chip {
	chips := map[string]*Chip{}
	for _, c := range parsed() {
		for _, name := range append([]string{c.ID, c.Name}, c.Aliases...) {
			if key := normal(name); key != "" && chips[key] == nil {
				chips[key] = c
			}
		}
	}
	return chips
})

// normal reduces a name to lower-case letters and digits without its chipmaker.
func normal(name string) string {
	key := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
	for _, maker := range []string{"nvidia", "amd", "google", "intel", "aws", "amazon"} {
		if rest := strings.TrimPrefix(key, maker); rest != "" && rest != key {
			return rest
		}
	}
	return key
}

// clip bounds what of a user's text is quoted back.
func clip(name string) string {
	const limit = 60
	if runes := []rune(name); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return name
}
