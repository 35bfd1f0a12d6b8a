// Composes the events of a simulated telephone call, as a telephony client sends them to `/callLog`.

const AGENT = { name: "Ada Agent", phoneNumber: "+16505550100", extensionNumber: "101" };

/** The texts, scores and legs that RingCentral adds to a call after it has ended. */
function extras(direction, contact, seconds) {
  const [from, to] = direction === "Inbound" ? [contact, AGENT] : [AGENT, contact];
  return {
    aiNote: `${contact.name} asked for an offer and a call on Friday.`,
    transcript: `Agent: Good morning, how can I help?\n${contact.name}: I would like an offer.`,
    ringSenseAIScore: "87",
    ringSenseLink: "https://media.example/insights",
    ringSenseTranscript: `00:01 Agent: Good morning.\n00:04 ${contact.name}: Good morning.`,
    ringSenseSummary: "A friendly first conversation about an offer.",
    ringSenseBulletedSummary: "- wants an offer\n- prefers Fridays",
    legs: [
      { direction, from, to, duration: seconds },
      { direction, from: AGENT, to: { name: "Support", extensionNumber: "200" }, duration: 30 },
    ],
  };
}

/** Returns the events of a call that has just ended: `now` creates its log, `later` (or null) brings its recording. */
export function eventsOfCall(direction, contact, note, recorded, withExtras) {
  const digits = () => String(Math.floor(1e9 + Math.random() * 9e9));
  const sessionId = digits();
  const seconds = 20 + Math.floor(Math.random() * 400);
  const party = { name: contact.name, phoneNumber: contact.phoneNumber };
  const [from, to] = direction === "Inbound" ? [party, AGENT] : [AGENT, party];
  const added = withExtras ? extras(direction, party, seconds) : {};
  const east = -new Date().getTimezoneOffset();
  const twoDigits = (number) => String(Math.floor(number)).padStart(2, "0");
  const now = {
    logInfo: {
      id: `demo-${sessionId}`, sessionId, telephonySessionId: `s-${digits()}`, startTime: Date.now() - seconds * 1000,
      duration: seconds, type: "Voice", direction, action: "Phone Call",
      result: direction === "Inbound" ? "Accepted" : "Call connected", from, to,
      ...(recorded && { recording: { link: "(pending...)" } }),
      customSubject: `${direction} Call ${direction === "Inbound" ? "from" : "to"} ${contact.name}`,
    },
    note, contactId: contact.id, contactType: contact.type, contactName: contact.name,
    timezoneOffset: `${east < 0 ? "-" : "+"}${twoDigits(Math.abs(east) / 60)}:${twoDigits(Math.abs(east) % 60)}`,
    ...(!recorded && added),
  };
  const later = { sessionId, recordingLink: `https://media.example/recording/${digits()}`, ...added };
  return { now, later: recorded ? later : null };
}
