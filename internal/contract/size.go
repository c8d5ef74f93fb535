package contract

import (
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// NormalisedSize returns the normalised units of an AWS instance size: large
// is 4, xlarge 8, and N×large N times xlarge. Bare metal has the factor of its
// family's largest virtual size, which only some families have here.
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
	metal := map[string]int64{
		"a1": 32, "m5zn": 96, "z1d": 96, "c6g": 128, "c6gd": 128, "i3": 128, "m6g": 128, "m6gd": 128,
		"r6g": 128, "r6gd": 128, "x2gd": 128, "c5n": 144, "c5": 192, "c5d": 192, "i3en": 192, "m5": 192,
		"m5d": 192, "m5dn": 192, "m5n": 192, "r5": 192, "r5b": 192, "r5d": 192, "r5dn": 192, "r5n": 192,
	}
	factor, known := metal[family]
	return Number{decimal.NewFromInt(factor)}, known && size == "metal"
}

// FlexibleInSize reports whether AWS applies a regional reservation of the
// family to other sizes; accelerator families listed in its guide are excluded.
func FlexibleInSize(instanceType, platform, tenancy string) bool {
	family, _, _ := strings.Cut(instanceType, ".")
	switch strings.ToLower(family) {
	case "g4ad", "g4dn", "g5", "g5g", "g6", "g6e", "gr6", "hpc7a", "inf1", "inf2", "p5":
		return false
	}
	linux := platform == "" || strings.EqualFold(platform, "linux") || strings.EqualFold(platform, "linux/unix")
	shared := tenancy == "" || strings.EqualFold(tenancy, "default") || strings.EqualFold(tenancy, "shared")
	_, known := NormalisedSize(instanceType)
	return linux && shared && known
}

// Family returns the part of an AWS instance type before the dot.
func Family(instanceType string) string {
	family, _, _ := strings.Cut(instanceType, ".")
	return strings.ToLower(family)
}
