import { accessSync, constants, existsSync } from "node:fs";
import { type Check, finding } from "./check.ts";

/** Whether guests can run on KVM. That the device opens does not prove that a guest boots (nested hosts). */
export const kvmCheck: Check = {
  name: "KVM",
  run() {
    if (!existsSync("/dev/kvm")) {
      const advice = "guests run under TCG, several times slower; switch virtualisation on in the firmware";
      return [finding("KVM", "warn", "/dev/kvm is not there", advice)];
    }
    try {
      accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
      return [finding("KVM", "ok", "/dev/kvm can be opened")];
    } catch {
      const advice = "run the agent as root or as a member of the group kvm, or use accelerator: tcg";
      return [finding("KVM", "warn", "/dev/kvm can't be opened", advice)];
    }
  },
};
