package contract

import (
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// NormalisedSize returns the normalised units of an AWS instance size: large
// is 4, xlarge 8, and N×large N times xlarge. Bare metal has the factor of the
// virtual size that it equals: of the one in its name (metal-24xl), or of the
// table of the source.
//
// Source: Amazon EC2 User Guide, "How Reserved Instance discounts are
// applied", read 2026-11.
func NormalisedSize(instanceType string) (Number, bool) {
	family, size, found := strings.Cut(instanceType, ".")
	if !found {
		return Number{}, false
	}
	named := map[string]string{
		"nano": "0.25", "micro": "0.5", "small": "1", "medium": "2", "large": "4", "xlarge": "8",
	}
	if factor, known := named[size]; known {
		return Number{decimal.RequireFromString(factor)}, true
	}
	if count, isMultiple := strings.CutSuffix(size, "xlarge"); isMultiple {
		n, err := strconv.Atoi(count)
		return Number{decimal.NewFromInt(int64(n) * 8)}, err == nil && n > 0 && n <= 1000
	}
	if count, isMetal := strings.CutPrefix(size, "metal-"); isMetal {
		if count, isMultiple := strings.CutSuffix(count, "xl"); isMultiple {
			return NormalisedSize(family + "." + count + "xlarge")
		}
	}
	factor, known := metalSize(strings.ToLower(family))
	return Number{decimal.NewFromInt(factor)}, known && size == "metal"
}

// metalSize is the factor of a family's bare metal where its name has no size.
func metalSize(family string) (factor int64, known bool) {
	switch family {
	case "a1":
		return 32, true
	case "m5zn", "x2iezn", "z1d":
		return 96, true
	case "c6g", "c6gd", "i3", "m6g", "m6gd", "r6g", "r6gd", "x2gd":
		return 128, true
	case "c5n":
		return 144, true
	case "c5", "c5d", "i3en", "m5", "m5d", "m5dn", "m5n", "r5", "r5b", "r5d", "r5dn", "r5n":
		return 192, true
	case "c6i", "c6id", "m6i", "m6id", "r6i", "r6id":
		return 256, true
	case "u-18tb1", "u-24tb1":
		return 448, true
	case "u-6tb1", "u-9tb1", "u-12tb1":
		return 896, true
	}
	return 0, false
}

// FlexibleInSize reports whether AWS applies a regional reservation of the
// family to other sizes; accelerator families listed in its guide are excluded.
func FlexibleInSize(instanceType, platform, tenancy string) bool {
	family, _, _ := strings.Cut(instanceType, ".")
	switch strings.ToLower(family) {
	case "g4ad", "g4dn", "g5", "g5g", "g6", "g6e", "gr6", "hpc7a", "inf1", "inf2", "p5":
		return false
	}
	linux := false
	switch strings.ToLower(platform) {
	case "", "linux", "linux/unix", "linux/unix (amazon vpc)", "amazon linux":
		linux = true
	}
	shared := tenancy == "" || strings.EqualFold(tenancy, "default") || strings.EqualFold(tenancy, "shared")
	_, known := NormalisedSize(instanceType)
	return linux && shared && known
}

// Family returns the part of an AWS instance type before the dot.
func Family(instanceType string) string {
	family, _, _ := strings.Cut(instanceType, ".")
	return strings.ToLower(family)
}
