//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const planInForce = "kind: Contract\nname: plan\ncounterparty: Amazon\nterm: {from: 2026-01-01, to: 2027-01-01}\nscope: {providers: [aws]}\nclauses:\n  - savings_plan: {type: compute, hourly: 1, discount: 30%}\n"

// A client of a server elsewhere puts contracts and budgets in force there, sees
// them, and is told what is wrong with them.
func TestInForceOverHTTP(t *testing.T) {
	t.Parallel()
	server := newBench(t)
	address, stop := server.up()
	token, err := os.ReadFile(filepath.Join(server.state, "token"))
	if err != nil {
		t.Fatal(err)
	}
	client := newBench(t)
	elsewhere := func(args ...string) []string {
		return append(args, "--server", address, "--token", strings.TrimSpace(string(token)))
	}
	has := func(what, text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("%s: no %q in:\n%s", what, want, text)
		}
	}
	plan := client.write("plan.yaml", planInForce)
	budget := client.write("cap.yaml", "kind: Budget\nname: cap\namount: $2\nperiod: year\nthresholds: [{at: 1, do: warn}]\n")
	has("add", client.must(0, elsewhere("contracts", "add", plan)...), "contract plan with Amazon is in force")
	has("add", client.must(0, elsewhere("budgets", "add", budget)...), "budget cap is in force")
	has("list", client.must(0, elsewhere("contracts")...), "savings-plan")
	has("list", client.must(0, elsewhere("budgets")...), "cap")
	if _, err := os.Stat(filepath.Join(client.state, "contracts")); err == nil {
		t.Error("the client kept the contract itself")
	}

	// What cannot be in force is refused with its line, and changes nothing.
	bad := client.write("bad.yaml", strings.Replace(planInForce, "hourly: 1", "hourly: none", 1))
	client.must(2, elsewhere("contracts", "add", bad)...)
	has("bad", client.said, "bad.yaml:7:43: clauses[0].savings_plan.hourly: found \"none\"")
	client.must(1, elsewhere("contracts", "add", client.write("again.yaml", planInForce))...)
	has("twice", client.said, "contract plan is in force from plan.yaml")

	// A file that came another way and cannot be read is told by who reads the ledger.
	broken := server.write("state/contracts/broken.yaml", "kind: Contract\n")
	server.write("state/budgets/broken.yaml", "kind: Budget\n")
	for _, command := range []string{"ledger", "burn", "budgets"} {
		client.must(0, elsewhere(command)...)
		has(command, client.said, "contracts/broken.yaml:1:1: name: the field is missing")
	}
	has("budgets", client.said, "budgets/broken.yaml:1:1: name: the field is missing")
	client.must(2, elsewhere("contracts")...)
	has("contracts", client.said, "contracts/broken.yaml:1:1: name: the field is missing")
	client.must(0, elsewhere("contracts", "remove", "broken")...)
	if _, err := os.Stat(broken); err == nil {
		t.Error("the broken file is still there")
	}
	client.must(0, elsewhere("ledger")...)
	if client.said != "" {
		t.Errorf("ledger still warns: %s", client.said)
	}
	client.must(0, elsewhere("contracts", "remove", "plan")...)
	client.must(0, elsewhere("budgets", "remove", "cap")...)
	stop()
}
