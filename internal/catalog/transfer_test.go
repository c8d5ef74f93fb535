package catalog

import "testing"

func TestTransferPrice(t *testing.T) {
	for _, c := range []struct{ provider, region, toProvider, toRegion, want string }{
		{"aws", "us-east-1", "aws", "us-east-1", "0"},
		{"aws", "us-east-1", "aws", "us-east-2", "0.01"},
		{"aws", "us-east-1", "aws", "us-west-2", "0.02"},
		{"aws", "ap-south-1", "aws", "us-west-2", "0.08"},
		{"aws", "ap-south-1", "azure", "eastus", "0.09"},
		{"azure", "eastus2", "azure", "westus", "0.02"},
		{"azure", "australiaeast", "azure", "westus", "0.08"},
		{"azure", "eastus2", "aws", "us-east-1", "0.087"},
		{"gcp", "us-central1", "owned", "", "0.12"},
		{"local", "", "aws", "us-east-1", "0"},
	} {
		got, ok := TransferPrice(c.provider, c.region, c.toProvider, c.toRegion)
		if !ok || got.Price.Decimal() != c.want || got.Source == "" {
			t.Errorf("%s %s to %s %s: %s (%q), want %s", c.provider, c.region, c.toProvider, c.toRegion, got.Price, got.Source, c.want)
		}
	}
	if _, ok := TransferPrice("nebius", "eu-north1", "aws", "us-east-1"); ok {
		t.Error("a provider without prices has one")
	}
	for _, row := range transfers() {
		if got, ok := TransferPrice(row.Provider, row.From, "elsewhere", ""); !ok || got.Price.Sign() < 0 || row.AsOf == "" {
			t.Errorf("%+v", row)
		}
	}
}
