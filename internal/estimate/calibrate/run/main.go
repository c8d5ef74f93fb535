// Command run fits the estimator's constants to the shipped rows and writes
// them where they are embedded from: go run ./internal/estimate/calibrate/run
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/switchyard-ai/switchyard/internal/estimate/calibrate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
)

func main() {
	out := flag.String("o", "internal/estimate/data/constants.json", "file to write")
	flag.Parse()
	files := measured.Embedded()
	training, _ := measured.TrainingRows(files.Training)
	serving, _ := measured.ServingRows(files.Inference)
	constants := calibrate.Run(training, serving)
	data, err := json.MarshalIndent(constants, "", "  ")
	if err == nil {
		err = os.WriteFile(*out, append(data, '\n'), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%d training and %d inference rows -> %s\n", len(training), len(serving), *out)
}
